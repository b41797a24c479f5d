/* Records to transactions: the twin of `Parser.parse` in events/parse.py, for the usual ones.
 *
 * msgspec reads the JSON and hashlib hashes the cards, here as there; this takes the checked fields
 * from where they lie and puts the transaction together. It hands back to `parse`, before a cache
 * was asked for anything, every record that
 *
 * - is no strict wire transaction of schema 1, or has a contact;
 * - has a backslash or a byte beyond ASCII, or another number of strings than its fields have, so
 *   that a key may be there twice;
 * - has an amount that is no plain decimal with the decimals of its place at most, a total of
 *   zero or less, a limit below zero, or a currency that is none;
 * - has a time without an offset, with one of odd seconds, or out of bounds.
 */
#include "events/fields.h"

#include <datetime.h>
#include <stdint.h>
#include <string.h>

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
#define FARTHEST (1LL << 60)        /* instants beyond this are left to Python's integers */
#define AMOUNT_MAX 1000000000000000 /* as in events/money.py, and likewise the decimals */
#define DECIMALS_MAX 4
#define QUANTITY_DECIMALS 3
#define UNIT_PRICE_DECIMALS 4
#define AMOUNT_TEXT_MAX 18 /* digits that certainly fit into 64 bits */
#define OWN_ID_MAX 8       /* as in events/parse.py */
#define DIGEST_BYTES_MAX 64
#define FIELDS_MAX 20

/* A struct and where its fields lie: `names` are all that it has, in its order. */
typedef struct {
    const char *module, *name;
    int count;
    const char *names[FIELDS_MAX];
    PyTypeObject *type;
    Py_ssize_t offsets[FIELDS_MAX];
} Struct;

enum { POSITION, DATA, PARTITION_KEY, ARRIVED_AT, RECORD_FIELDS };

static Struct record_struct = {
    "events.record", "Record", RECORD_FIELDS,
    {"position", "data", "partition_key", "arrived_at"}, NULL, {0},
};

enum {
    W_ID, W_SHOP, W_TYPE, W_OCCURRED_AT, W_CURRENCY, W_TOTAL, W_SCHEMA, W_REGISTER, W_CASHIER,
    W_PAYMENT, W_CUSTOMER, W_CONTACT, W_ORIGINAL, W_REASON, W_LIMIT, W_LINES, WIRE_FIELDS,
};

static Struct wire_struct = {
    "events.wire", "StrictTransaction", WIRE_FIELDS,
    {"transaction_id", "shop_id", "type", "occurred_at", "currency", "total", "schema",
     "register_id", "cashier_id", "payment", "customer_id", "contact", "original_transaction_id",
     "reason", "approval_limit", "lines"}, NULL, {0},
};

enum { P_METHOD, P_CARD, PAYMENT_FIELDS };

static Struct payment_struct = {
    "events.wire", "StrictPayment", PAYMENT_FIELDS, {"method", "card_token"}, NULL, {0},
};

enum { L_ITEM, L_DESCRIPTION, L_CATEGORY, L_QUANTITY, L_PRICE, LINE_FIELDS };

static Struct wire_line_struct = {
    "events.wire", "StrictLine", LINE_FIELDS,
    {"item_id", "description", "category", "quantity", "unit_price"}, NULL, {0},
};

static Struct line_struct = {
    "events.transaction", "Line", LINE_FIELDS,
    {"item_id", "description", "category", "quantity_thousandths", "unit_price_e4"}, NULL, {0},
};

enum {
    T_ID, T_SHOP, T_TYPE, T_OCCURRED_AT, T_UTC_OFFSET, T_CURRENCY, T_TOTAL, T_REGISTER, T_CASHIER,
    T_METHOD, T_CARD, T_CUSTOMER, T_NAME, T_EMAIL, T_ORIGINAL, T_REASON, T_LIMIT, T_LINES,
    T_UNKNOWN, T_CARD_BEFORE, TRANSACTION_FIELDS,
};

static Struct transaction_struct = {
    "events.transaction", "Transaction", TRANSACTION_FIELDS,
    {"transaction_id", "shop_id", "type", "occurred_at", "utc_offset_minutes", "currency", "total",
     "register_id", "cashier_id", "payment_method", "card_token", "customer_id", "contact_name",
     "contact_email", "original_transaction_id", "reason", "approval_limit", "lines", "unknown",
     "card_before"}, NULL, {0},
};

enum { N_KEYED, N_BEFORE, PSEUDONYMIZER_FIELDS };

static PyTypeObject *pseudonymizer_type;
static Py_ssize_t pseudonymizer_offsets[PSEUDONYMIZER_FIELDS];
static PyObject *strict_decode; /* of events/decode.py */
static PyObject *exponents;     /* of events/money.py */
static PyObject *name_customer_id, *name_digest, *name_update, *name_utcoffset;

static const long long POWERS[DECIMALS_MAX + 1] = {1, 10, 100, 1000, 10000};

/* What a parser has besides the records; all borrowed from it. */
typedef struct {
    PyObject *ids, *texts, *people; /* the caches of shared texts */
    PyObject *pseudonymizer;
    PyObject *keyed, *keyed_before; /* make hashers of cards; the latter NULL where there is none */
    long long occurred_min, occurred_end, future_max;
} Parser;

/* What a wire transaction comes to in numbers. */
typedef struct {
    long long total, limit, occurred_at;
    int utc_offset_minutes;
} Numbers;

/* The fields of `object`, borrowed; 0 if it is of another class or lacks one. */
static inline int
fields_of(PyObject *object, const Struct *made, PyObject **fields)
{
    if (Py_TYPE(object) != made->type) {
        return 0;
    }
    for (int i = 0; i < made->count; i++) {
        fields[i] = field_at(object, made->offsets[i]);
        if (fields[i] == NULL) {
            return 0;
        }
    }
    return 1;
}

/* The quotation marks in `data`; -1 if it has a backslash or is not all ASCII.
 *
 * Eight bytes at a time: of bytes below 128, 127 more leaves the top bit clear in a zero alone. */
static Py_ssize_t
quotes_of(PyObject *data)
{
    const char *at = PyBytes_AS_STRING(data);
    Py_ssize_t words = PyBytes_GET_SIZE(data) / 8, quotes = 0;
    uint64_t odd = 0;
    while (words > 0) {
        uint64_t word, lanes = 0; /* eight counts side by side, of 255 at most */
        int steps = words < 255 ? (int)words : 255;
        words -= steps;
        for (; steps > 0; steps--, at += 8) {
            memcpy(&word, at, 8);
            odd |= word | ~((word ^ EACH('\\')) + EACH(0x7f));
            lanes += (~((word ^ EACH('"')) + EACH(0x7f)) & EACH(0x80)) >> 7;
        }
        for (; lanes != 0; lanes >>= 8) {
            quotes += lanes & 0xff;
        }
    }
    for (const char *end = PyBytes_AS_STRING(data) + PyBytes_GET_SIZE(data); at < end; at++) {
        odd |= (unsigned char)*at | (*at == '\\' ? 0x80 : 0);
        quotes += *at == '"';
    }
    return odd & EACH(0x80) ? -1 : quotes;
}

/* A whole number as an instant; 0 if it is none, or one that nobody has. */
static int
is_instant(PyObject *value, long long *instant)
{
    int overflow = 0;
    if (!PyLong_CheckExact(value)) {
        return 0;
    }
    *instant = PyLong_AsLongLongAndOverflow(value, &overflow);
    return !overflow && -FARTHEST < *instant && *instant < FARTHEST;
}

static int
shifted(long long coefficient, int power, long long *amount)
{
    long long end = AMOUNT_MAX / POWERS[power]; /* without a rest */
    *amount = 0;
    if (coefficient <= -end || coefficient >= end) {
        return 0;
    }
    *amount = coefficient * POWERS[power];
    return 1;
}

static inline const Py_UCS1 *
digits_from(const Py_UCS1 *at, const Py_UCS1 *end, long long *coefficient)
{
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        *coefficient = *coefficient * 10 + (*at - '0');
    }
    return at;
}

/* The twin of `scaled` in events/money.py for plain decimals; 0 for all others. */
static int
scaled(PyObject *value, int decimals, long long *amount)
{
    long long coefficient = 0;
    if (PyLong_CheckExact(value)) {
        int overflow = 0;
        coefficient = PyLong_AsLongLongAndOverflow(value, &overflow);
        return !overflow && shifted(coefficient, decimals, amount);
    }
    /* A number that is not whole is a str of a subclass, and counts alike. */
    if (!PyUnicode_Check(value) || !PyUnicode_IS_ASCII(value) ||
        PyUnicode_GET_LENGTH(value) > AMOUNT_TEXT_MAX) {
        return 0;
    }
    const Py_UCS1 *at = PyUnicode_1BYTE_DATA(value);
    const Py_UCS1 *end = at + PyUnicode_GET_LENGTH(value);
    int negative = at < end && *at == '-';
    const Py_UCS1 *whole = at + negative;
    at = digits_from(whole, end, &coefficient);
    if (at == whole) {
        return 0;
    }
    if (at < end && *at == '.') {
        const Py_UCS1 *fraction = at + 1;
        at = digits_from(fraction, end, &coefficient);
        if (at == fraction || at - fraction > decimals) {
            return 0;
        }
        decimals -= (int)(at - fraction);
    }
    return at == end && shifted(negative ? -coefficient : coefficient, decimals, amount);
}

/* Strings that an amount and its key are in the record. */
static inline int
strings_of_amount(PyObject *amount)
{
    return amount == Py_None ? 0 : 1 + PyUnicode_CheckExact(amount);
}

/* Whether every line has plain amounts; adds what strings there are in them. */
static int
lines_are_plain(PyObject *lines, Py_ssize_t *strings)
{
    if (lines == Py_None) {
        return 1;
    }
    if (!PyTuple_CheckExact(lines)) {
        return 0;
    }
    *strings += 1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(lines); i++) {
        PyObject *line[LINE_FIELDS];
        long long amount;
        if (!fields_of(PyTuple_GET_ITEM(lines, i), &wire_line_struct, line)) {
            return 0;
        }
        PyObject *quantity = line[L_QUANTITY], *price = line[L_PRICE];
        if ((quantity != Py_None && !scaled(quantity, QUANTITY_DECIMALS, &amount)) ||
            (price != Py_None && !scaled(price, UNIT_PRICE_DECIMALS, &amount))) {
            return 0;
        }
        *strings += 2 * (line[L_ITEM] != Py_None) + 2 * (line[L_DESCRIPTION] != Py_None) +
                    2 * (line[L_CATEGORY] != Py_None) + strings_of_amount(quantity) +
                    strings_of_amount(price);
    }
    return 1;
}

/* The twin of `strings_of` in events/unique_keys.py, for what is no contact and no line. */
static Py_ssize_t
strings_of(PyObject **wire, PyObject **payment)
{
    Py_ssize_t strings = 2 * 5 + strings_of_amount(wire[W_TOTAL]) + (wire[W_SCHEMA] != Py_None) +
                         strings_of_amount(wire[W_LIMIT]) + (wire[W_PAYMENT] != Py_None);
    static const int texts[] = {W_REGISTER, W_CASHIER, W_CUSTOMER, W_ORIGINAL, W_REASON};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        strings += 2 * (wire[texts[i]] != Py_None);
    }
    return strings + 2 * (payment[P_METHOD] != Py_None) + 2 * (payment[P_CARD] != Py_None);
}

static int
is_schema_1(PyObject *schema)
{
    int overflow = 0;
    return schema == Py_None ||
           (PyLong_CheckExact(schema) && PyLong_AsLongAndOverflow(schema, &overflow) == 1);
}

/* How far east of UTC `zone` is at `moment`; 0 if only Python knows, -1 on failure. */
static int
has_offset(PyObject *moment, PyObject *zone, long long *seconds)
{
    *seconds = 0;
    if (zone == PyDateTime_TimeZone_UTC) {
        return 1;
    }
    if (Py_TYPE(zone) != Py_TYPE(PyDateTime_TimeZone_UTC)) {
        return 0;
    }
    PyObject *offset = PyObject_CallMethodOneArg(zone, name_utcoffset, moment);
    if (offset == NULL) {
        return -1;
    }
    int whole = PyDelta_CheckExact(offset) && PyDateTime_DELTA_GET_MICROSECONDS(offset) == 0 &&
                PyDateTime_DELTA_GET_SECONDS(offset) % 60 == 0;
    if (whole) {
        *seconds = PyDateTime_DELTA_GET_DAYS(offset) * 86400LL +
                   PyDateTime_DELTA_GET_SECONDS(offset);
    }
    Py_DECREF(offset);
    return whole;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar; years are taken to begin in March. */
static long long
days_since_epoch(int year, int month, int day)
{
    year -= month <= 2;
    int era = year / 400, of_era = year % 400;
    int of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097LL + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* The twin of `Parser._time`; 0 for a time that is to be looked at, -1 on failure. */
static int
has_time(const Parser *parser, PyObject *moment, PyObject *arrived_at, Numbers *numbers)
{
    long long end = parser->occurred_end, arrived = 0, offset;
    if (!PyDateTime_CheckExact(moment)) {
        return 0;
    }
    if (arrived_at != Py_None) {
        if (!is_instant(arrived_at, &arrived)) {
            return 0;
        }
        arrived += parser->future_max + 1;
        end = arrived < end ? arrived : end;
    }
    int known = has_offset(moment, PyDateTime_DATE_GET_TZINFO(moment), &offset);
    if (known <= 0) {
        return known;
    }
    long long seconds = days_since_epoch(PyDateTime_GET_YEAR(moment), PyDateTime_GET_MONTH(moment),
                                         PyDateTime_GET_DAY(moment)) * 86400 +
                        PyDateTime_DATE_GET_HOUR(moment) * 3600 +
                        PyDateTime_DATE_GET_MINUTE(moment) * 60 +
                        PyDateTime_DATE_GET_SECOND(moment) - offset;
    numbers->occurred_at = seconds * 1000000 + PyDateTime_DATE_GET_MICROSECOND(moment);
    numbers->utc_offset_minutes = (int)(offset / 60);
    return parser->occurred_min <= numbers->occurred_at && numbers->occurred_at < end;
}

/* What `text` is shared as, as `cache[text]` would have it, but without asking the class first. */
static PyObject *
shared(PyObject *cache, PyObject *text)
{
    PyObject *found = PyDict_GetItemWithError(cache, text);
    if (found != NULL) {
        return Py_NewRef(found);
    }
    return PyErr_Occurred() ? NULL : PyObject_GetItem(cache, text);
}

static PyObject *
number(long long value)
{
    return PyLong_FromLongLong(value);
}

/* The text of a card's digest. */
static PyObject *
card_text(PyObject *digest)
{
    static const char prefix[] = "card-", hex[] = "0123456789abcdef";
    char text[sizeof(prefix) + 2 * DIGEST_BYTES_MAX], *at = text + sizeof(prefix) - 1;
    if (!PyBytes_CheckExact(digest) || PyBytes_GET_SIZE(digest) > DIGEST_BYTES_MAX) {
        PyErr_SetString(PyExc_TypeError, "a digest is bytes, and short");
        return NULL;
    }
    memcpy(text, prefix, sizeof(prefix) - 1);
    for (Py_ssize_t i = 0; i < PyBytes_GET_SIZE(digest); i++) {
        unsigned char byte = (unsigned char)PyBytes_AS_STRING(digest)[i];
        *at++ = hex[byte >> 4];
        *at++ = hex[byte & 15];
    }
    return PyUnicode_DecodeASCII(text, at - text, NULL);
}

/* The twin of `Pseudonymizer.card_token` for ASCII; None for none, or without `keyed`. */
static PyObject *
card(PyObject *keyed, PyObject *token)
{
    if (keyed == NULL || token == Py_None) {
        return Py_NewRef(Py_None);
    }
    PyObject *hasher = PyObject_CallNoArgs(keyed), *clear = NULL, *done = NULL, *digest = NULL;
    PyObject *text = NULL;
    if (hasher != NULL && (clear = PyUnicode_AsASCIIString(token)) != NULL &&
        (done = PyObject_CallMethodOneArg(hasher, name_update, clear)) != NULL &&
        (digest = PyObject_CallMethodNoArgs(hasher, name_digest)) != NULL) {
        text = card_text(digest);
    }
    Py_XDECREF(hasher);
    Py_XDECREF(clear);
    Py_XDECREF(done);
    Py_XDECREF(digest);
    return text;
}

/* A customer's id as it may be kept: the retailer's own short numbers are, without a look. */
static PyObject *
customer(PyObject *pseudonymizer, PyObject *id)
{
    if (id != Py_None) {
        Py_ssize_t length = PyUnicode_GET_LENGTH(id);
        const Py_UCS1 *text = PyUnicode_1BYTE_DATA(id);
        if (length > OWN_ID_MAX || memchr(text, '@', length) || memchr(text, '%', length)) {
            return PyObject_CallMethodOneArg(pseudonymizer, name_customer_id, id);
        }
    }
    return Py_NewRef(id);
}

static PyObject *
scaled_number(PyObject *value, int decimals)
{
    long long amount;
    return value != Py_None && scaled(value, decimals, &amount) ? number(amount)
                                                                : Py_NewRef(Py_None);
}

/* `made` called with `values`, whose references it takes over, if `filled`. */
static PyObject *
made_of(const Struct *made, PyObject **values, int filled)
{
    PyObject *object = NULL;
    if (filled) {
        object = PyObject_Vectorcall((PyObject *)made->type, values, made->count, NULL);
    }
    for (int i = 0; i < made->count; i++) {
        Py_XDECREF(values[i]);
    }
    return object;
}

/* A line that `lines_are_plain` has seen. */
static PyObject *
line_of(const Parser *parser, PyObject *wire)
{
    PyObject *line[LINE_FIELDS], *v[LINE_FIELDS] = {NULL};
    if (!fields_of(wire, &wire_line_struct, line)) {
        PyErr_SetString(PyExc_TypeError, "a line changed while it was read");
        return NULL;
    }
    int filled =
        (v[L_ITEM] = shared(parser->ids, line[L_ITEM])) != NULL &&
        (v[L_DESCRIPTION] = shared(parser->texts, line[L_DESCRIPTION])) != NULL &&
        (v[L_CATEGORY] = shared(parser->texts, line[L_CATEGORY])) != NULL &&
        (v[L_QUANTITY] = scaled_number(line[L_QUANTITY], QUANTITY_DECIMALS)) != NULL &&
        (v[L_PRICE] = scaled_number(line[L_PRICE], UNIT_PRICE_DECIMALS)) != NULL;
    return made_of(&line_struct, v, filled);
}

static PyObject *
lines_of(const Parser *parser, PyObject *wire)
{
    Py_ssize_t count = wire == Py_None ? 0 : PyTuple_GET_SIZE(wire);
    PyObject *lines = PyTuple_New(count);
    for (Py_ssize_t i = 0; lines != NULL && i < count; i++) {
        PyObject *line = line_of(parser, PyTuple_GET_ITEM(wire, i));
        if (line == NULL) {
            Py_CLEAR(lines);
        }
        else {
            PyTuple_SET_ITEM(lines, i, line);
        }
    }
    return lines;
}

/* The transaction of a wire transaction that is plain, with the caches asked in Python's order. */
static PyObject *
transaction_of(const Parser *parser, PyObject **wire, PyObject **payment, const Numbers *numbers)
{
    PyObject *v[TRANSACTION_FIELDS] = {NULL};
    int refund = PyUnicode_CompareWithASCIIString(wire[W_TYPE], "REFUND") == 0;
    v[T_ID] = Py_NewRef(wire[W_ID]);
    v[T_TYPE] = Py_NewRef(wire[W_TYPE]);
    v[T_ORIGINAL] = Py_NewRef(wire[W_ORIGINAL]);
    v[T_NAME] = Py_NewRef(Py_None);
    v[T_EMAIL] = Py_NewRef(Py_None);
    v[T_UNKNOWN] = Py_NewRef(Py_None);
    int filled =
        (v[T_OCCURRED_AT] = number(numbers->occurred_at)) != NULL &&
        (v[T_UTC_OFFSET] = number(numbers->utc_offset_minutes)) != NULL &&
        (v[T_TOTAL] = number(numbers->total)) != NULL &&
        (v[T_LIMIT] = wire[W_LIMIT] == Py_None ? Py_NewRef(Py_None) : number(numbers->limit)) &&
        (v[T_CARD] = card(parser->keyed, payment[P_CARD])) != NULL &&
        (v[T_CARD_BEFORE] = card(refund ? parser->keyed_before : NULL, payment[P_CARD])) != NULL &&
        (v[T_CUSTOMER] = customer(parser->pseudonymizer, wire[W_CUSTOMER])) != NULL &&
        (v[T_SHOP] = shared(parser->ids, wire[W_SHOP])) != NULL &&
        (v[T_CURRENCY] = shared(parser->ids, wire[W_CURRENCY])) != NULL &&
        (v[T_REGISTER] = shared(parser->ids, wire[W_REGISTER])) != NULL &&
        (v[T_CASHIER] = shared(parser->people, wire[W_CASHIER])) != NULL &&
        (v[T_METHOD] = shared(parser->texts, payment[P_METHOD])) != NULL &&
        (v[T_REASON] = shared(parser->texts, wire[W_REASON])) != NULL &&
        (v[T_LINES] = lines_of(parser, wire[W_LINES])) != NULL;
    return made_of(&transaction_struct, v, filled);
}

/* Total and limit in minor units; 0 if they are to be looked at, -1 on failure. */
static int
has_amounts(PyObject **wire, Numbers *numbers)
{
    PyObject *found = PyDict_GetItemWithError(exponents, wire[W_CURRENCY]);
    if (found == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    long exponent = PyLong_AsLong(found);
    if (exponent < 0 || exponent > DECIMALS_MAX) {
        return PyErr_Occurred() ? -1 : 0;
    }
    return scaled(wire[W_TOTAL], (int)exponent, &numbers->total) && numbers->total > 0 &&
           (wire[W_LIMIT] == Py_None ||
            (scaled(wire[W_LIMIT], (int)exponent, &numbers->limit) && numbers->limit >= 0));
}

/* The transaction in what was decoded; NULL without an exception hands it back. */
static PyObject *
of_wire(const Parser *parser, PyObject *decoded, PyObject *arrived_at, Py_ssize_t quotes)
{
    PyObject *wire[WIRE_FIELDS], *payment[PAYMENT_FIELDS] = {Py_None, Py_None};
    Numbers numbers = {0, 0, 0, 0};
    Py_ssize_t strings = 0;
    if (!fields_of(decoded, &wire_struct, wire) || wire[W_CONTACT] != Py_None ||
        !is_schema_1(wire[W_SCHEMA]) ||
        (wire[W_PAYMENT] != Py_None && !fields_of(wire[W_PAYMENT], &payment_struct, payment)) ||
        (wire[W_CUSTOMER] != Py_None && !PyUnicode_CheckExact(wire[W_CUSTOMER])) ||
        (payment[P_CARD] != Py_None && !PyUnicode_CheckExact(payment[P_CARD])) ||
        !lines_are_plain(wire[W_LINES], &strings) ||
        quotes != 2 * (strings + strings_of(wire, payment)) ||
        has_amounts(wire, &numbers) <= 0 ||
        has_time(parser, wire[W_OCCURRED_AT], arrived_at, &numbers) <= 0) {
        return NULL;
    }
    return transaction_of(parser, wire, payment, &numbers);
}

/* The transaction in `record`; NULL without an exception hands it back. */
static PyObject *
of_record(const Parser *parser, PyObject *record)
{
    PyObject *fields[RECORD_FIELDS];
    if (!fields_of(record, &record_struct, fields) || !PyBytes_CheckExact(fields[DATA])) {
        return NULL;
    }
    Py_ssize_t quotes = quotes_of(fields[DATA]);
    if (quotes < 0) {
        return NULL;
    }
    PyObject *decoded = PyObject_CallOneArg(strict_decode, fields[DATA]);
    if (decoded == NULL) {
        if (PyErr_ExceptionMatches(PyExc_Exception) &&
            !PyErr_ExceptionMatches(PyExc_MemoryError)) {
            PyErr_Clear(); /* `parse` will say what is wrong */
        }
        return NULL;
    }
    PyObject *transaction = of_wire(parser, decoded, fields[ARRIVED_AT], quotes);
    Py_DECREF(decoded);
    return transaction;
}

/* Find what makes hashers of cards, if the pseudonymizer is the usual one; -1 on failure. */
static int
has_hashers(Parser *parser)
{
    PyObject *named = parser->pseudonymizer, **hashers[] = {&parser->keyed, &parser->keyed_before};
    for (int i = 0; i < 2 && named != Py_None; i++) {
        if (Py_TYPE(named) != pseudonymizer_type) {
            return 0;
        }
        PyObject *keyed = field_at(named, pseudonymizer_offsets[N_KEYED]);
        PyObject *before = field_at(named, pseudonymizer_offsets[N_BEFORE]);
        if (keyed == NULL || before == NULL || !PyDict_CheckExact(keyed)) {
            return 0;
        }
        *hashers[i] = PyDict_GetItemString(keyed, "card");
        if (*hashers[i] == NULL) {
            return 0;
        }
        named = before;
    }
    return parser->keyed != NULL;
}

/* The answers for `records`, in a new list. */
static PyObject *
answers(const Parser *parser, int usual, PyObject *records, PyObject *parse)
{
    PyObject *list = PyList_New(0);
    /* `parse` is Python, and may do anything to a list of records: its size is asked anew. */
    for (Py_ssize_t i = 0; list != NULL && i < PySequence_Fast_GET_SIZE(records); i++) {
        PyObject *record = Py_NewRef(PySequence_Fast_GET_ITEM(records, i));
        PyObject *answer = usual ? of_record(parser, record) : NULL;
        if (answer == NULL && !PyErr_Occurred()) {
            answer = PyObject_CallOneArg(parse, record);
        }
        Py_DECREF(record);
        if (answer == NULL || PyList_Append(list, answer) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(answer);
    }
    return list;
}

PyDoc_STRVAR(parse_all_doc,
             "parse_all(records, parse, ids, texts, people, pseudonymizer, bounds)\n--\n\n"
             "What `parse` says of each of `records`; of unusual ones it is asked itself.\n\n"
             "`ids`, `texts` and `people` are the parser's shared texts; `bounds` are the\n"
             "earliest instant, the end of all, and how far after its arrival a record may lie.");

static PyObject *
parse_all(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *records, *parse, *bounds[3];
    Parser parser = {NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0};
    if (!PyArg_ParseTuple(args, "OOO!O!O!O(OOO)", &records, &parse, &PyDict_Type, &parser.ids,
                          &PyDict_Type, &parser.texts, &PyDict_Type, &parser.people,
                          &parser.pseudonymizer, &bounds[0], &bounds[1], &bounds[2])) {
        return NULL;
    }
    int usual = is_instant(bounds[0], &parser.occurred_min) &&
                is_instant(bounds[1], &parser.occurred_end) &&
                is_instant(bounds[2], &parser.future_max) && has_hashers(&parser);
    records = PySequence_Fast(records, "records are a sequence");
    if (records == NULL) {
        return NULL;
    }
    PyObject *list = answers(&parser, usual, records, parse);
    Py_DECREF(records);
    return list;
}

/* Find a struct and its fields; -1 with an exception if they are not those that stand here, for
 * then this was compiled for other source. */
static int
find_struct(Struct *made)
{
    made->type = class_of(made->module, made->name);
    if (made->type == NULL) {
        return -1;
    }
    PyObject *names = PyObject_GetAttrString((PyObject *)made->type, "__struct_fields__");
    if (names == NULL) {
        return -1;
    }
    int same = PyTuple_CheckExact(names) && PyTuple_GET_SIZE(names) == made->count;
    for (int i = 0; same && i < made->count; i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        same = PyUnicode_Check(name) &&
               PyUnicode_CompareWithASCIIString(name, made->names[i]) == 0;
    }
    Py_DECREF(names);
    if (!same) {
        PyErr_Format(PyExc_ImportError, "%s has other fields", made->name);
        return -1;
    }
    return field_offsets(made->type, made->names, made->count, made->offsets);
}

/* Find all that stands above; -1 with an exception on failure. */
static int
find_all(void)
{
    static const char *const slots[] = {"_keyed", "_before"};
    Struct *structs[] = {&record_struct,    &wire_struct, &payment_struct,
                         &wire_line_struct, &line_struct, &transaction_struct};
    for (size_t i = 0; i < sizeof(structs) / sizeof(structs[0]); i++) {
        if (find_struct(structs[i]) < 0) {
            return -1;
        }
    }
    pseudonymizer_type = class_of("events.pseudonym", "Pseudonymizer");
    if (pseudonymizer_type == NULL ||
        field_offsets(pseudonymizer_type, slots, PSEUDONYMIZER_FIELDS, pseudonymizer_offsets) < 0) {
        return -1;
    }
    PyObject *decoder = attribute_of("events.decode", "_STRICT");
    strict_decode = decoder == NULL ? NULL : PyObject_GetAttrString(decoder, "decode");
    Py_XDECREF(decoder);
    if (strict_decode == NULL) {
        return -1;
    }
    exponents = attribute_of("events.money", "EXPONENTS");
    if (exponents != NULL && !PyDict_CheckExact(exponents)) {
        PyErr_SetString(PyExc_ImportError, "EXPONENTS is no dict");
        Py_CLEAR(exponents);
    }
    name_customer_id = PyUnicode_InternFromString("customer_id");
    name_digest = PyUnicode_InternFromString("digest");
    name_update = PyUnicode_InternFromString("update");
    name_utcoffset = PyUnicode_InternFromString("utcoffset");
    return exponents == NULL || name_customer_id == NULL || name_digest == NULL ||
                   name_update == NULL || name_utcoffset == NULL
               ? -1
               : 0;
}

static PyMethodDef functions[] = {
    {"parse_all", parse_all, METH_VARARGS, parse_all_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "events._parse",
    .m_doc = PyDoc_STR("Records to transactions, the usual ones: the twin of events/parse.py."),
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC
PyInit__parse(void)
{
    PyDateTime_IMPORT;
    if (PyDateTimeAPI == NULL || find_all() < 0) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_SetString(PyExc_ImportError, "a name is gone that this was compiled for");
        }
        return NULL;
    }
    return PyModule_Create(&module);
}
