/* The twin of sinks/document.py's `transaction`, and of what msgspec makes of its entry: the two
 * lines of each transaction in a bulk body, written straight into bytes.
 *
 * It writes what is plain: values of exactly the classes that events/ names, texts that have a
 * UTF-8 form, whole numbers of 64 bits, times within datetime's years, currencies of ISO 4217, ids
 * of a length that OpenSearch takes. At the first item that is anything else, or that there is no
 * room left for, it stops with what it has written before. An item that it stops at without a byte
 * is Python's: to be written, or to be refused in Python's words.
 */
#include "events/fields.h"

#include <stdint.h>
#include <string.h>

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)
#define EARLIEST (-719162 * DAY)         /* 0001-01-01T00:00Z, datetime's first microsecond */
#define LATEST (2932897 * DAY - 1)       /* 9999-12-31T23:59:59.999999Z, its last */
#define ID_BYTES_MAX 512                 /* sinks/opensearch.py */
#define UNIT_PRICE_DECIMALS 4            /* events/money.py */
#define QUANTITY_DECIMALS 3
#define CHARACTER_BYTES_MAX 6            /* \u001f: what one byte of a text takes at most */
#define TIME_BYTES_MAX 29                /* "2026-01-05T10:31:07.250000Z", the quotes included */
#define INDEX_BYTES 23                   /* transactions-2026.01.05 */
#define NUMBER_BYTES_MAX 24              /* a sign, 19 digits, a point and a zero before it */

/* What came of an attempt: an exception to travel, an item to stop at, or bytes. */
enum { FAILED = -1, STOPPED = 0, WRITTEN = 1 };

#define TRY(attempt)                      \
    do {                                  \
        int said = (attempt);             \
        if (said != WRITTEN) return said; \
    } while (0)

enum { SCORED_POSITION, SCORED_TRANSACTION, SCORED_SCORE, SCORED_ARRIVED_AT, SCORED_FIELDS };
static const char *const SCORED[] = {"position", "transaction", "score", "arrived_at"};

enum { SHARD_ID, SEQUENCE_NUMBER, SUB_SEQUENCE_NUMBER, POSITION_FIELDS };
static const char *const POSITION[] = {"shard_id", "sequence_number", "sub_sequence_number"};

enum { ITEM_ID, DESCRIPTION, CATEGORY, QUANTITY_THOUSANDTHS, UNIT_PRICE_E4, LINE_FIELDS };
static const char *const LINE[] = {
    "item_id", "description", "category", "quantity_thousandths", "unit_price_e4",
};

enum {
    TRANSACTION_ID, SHOP_ID, TYPE, OCCURRED_AT, UTC_OFFSET_MINUTES, CURRENCY, TOTAL, REGISTER_ID,
    CASHIER_ID, PAYMENT_METHOD, CARD_TOKEN, CUSTOMER_ID, CONTACT_NAME, CONTACT_EMAIL,
    ORIGINAL_TRANSACTION_ID, REASON, APPROVAL_LIMIT, LINES, UNKNOWN, TRANSACTION_FIELDS,
};
static const char *const TRANSACTION[] = {
    "transaction_id", "shop_id", "type", "occurred_at", "utc_offset_minutes", "currency", "total",
    "register_id", "cashier_id", "payment_method", "card_token", "customer_id", "contact_name",
    "contact_email", "original_transaction_id", "reason", "approval_limit", "lines", "unknown",
};

/* Set when the module is made, and never again. */
static PyTypeObject *scored_type, *transaction_type, *position_type, *line_type, *score_type;
static Py_ssize_t scored_at[SCORED_FIELDS], transaction_at[TRANSACTION_FIELDS];
static Py_ssize_t position_at[POSITION_FIELDS], line_at[LINE_FIELDS];
static PyObject *exponents; /* events.money.EXPONENTS */
static PyObject *encode;    /* msgspec.json.encode */

/* Where the next byte goes, and where there is no room for one. */
typedef struct {
    char *at;
    char *end;
} Room;

static inline int
put(Room *room, const char *bytes, size_t count)
{
    if ((size_t)(room->end - room->at) < count) {
        return STOPPED;
    }
    memcpy(room->at, bytes, count);
    room->at += count;
    return WRITTEN;
}

#define PUT(room, literal) put(room, literal, sizeof(literal) - 1)

/* Texts, as msgspec escapes them. */

/* What stands behind the backslash of a byte; 0 for those that stand for themselves. */
static const char ESCAPES[256] = {
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b', 't', 'n', 'u', 'f', 'r', 'u', 'u',
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u',
    ['"'] = '"',
    ['\\'] = '\\',
};

static char *
escaped(char *at, unsigned char byte)
{
    *at++ = '\\';
    *at++ = ESCAPES[byte];
    if (ESCAPES[byte] == 'u') {
        *at++ = '0';
        *at++ = '0';
        *at++ = "0123456789abcdef"[byte >> 4];
        *at++ = "0123456789abcdef"[byte & 15];
    }
    return at;
}

/* The UTF-8 form of a text; a text with a lone half of a surrogate pair has none. */
static int
utf8_of(PyObject *text, const char **bytes, Py_ssize_t *count)
{
    if (PyUnicode_IS_COMPACT_ASCII(text)) {
        *bytes = (const char *)PyUnicode_1BYTE_DATA(text);
        *count = PyUnicode_GET_LENGTH(text);
        return WRITTEN;
    }
    *bytes = PyUnicode_AsUTF8AndSize(text, count);
    if (*bytes != NULL) {
        return WRITTEN;
    }
    if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
        return FAILED;
    }
    PyErr_Clear();
    return STOPPED;
}

static int
put_text(Room *room, PyObject *text)
{
    if (text == NULL || !PyUnicode_CheckExact(text)) {
        return STOPPED;
    }
    const char *from;
    Py_ssize_t count;
    TRY(utf8_of(text, &from, &count));
    if ((room->end - room->at - 2) / CHARACTER_BYTES_MAX < count) {
        return STOPPED;
    }
    char *at = room->at;
    *at++ = '"';
    for (const char *stop = from + count; from < stop; from++) {
        unsigned char byte = (unsigned char)*from;
        if (ESCAPES[byte] == 0) {
            *at++ = (char)byte;
        }
        else {
            at = escaped(at, byte);
        }
    }
    *at++ = '"';
    room->at = at;
    return WRITTEN;
}

/* Numbers. */

static inline int
whole_of(PyObject *value, int64_t *number)
{
    if (value == NULL || !PyLong_CheckExact(value)) {
        return STOPPED;
    }
    int beyond;
    *number = PyLong_AsLongLongAndOverflow(value, &beyond);
    return beyond ? STOPPED : WRITTEN;
}

/* As sinks/amount.py's `decimal_text`; `trimmed`, without the zeros at the end of its decimals. */
static int
put_decimal(Room *room, PyObject *value, int decimals, int trimmed)
{
    int64_t number;
    TRY(whole_of(value, &number));
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    char text[NUMBER_BYTES_MAX];
    char *const end = text + sizeof text;
    char *at = end;
    for (int i = 0; i < decimals; i++, rest /= 10) {
        if (!trimmed || at != end || rest % 10 != 0) {
            *--at = (char)('0' + rest % 10);
        }
    }
    if (at != end) {
        *--at = '.';
    }
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (number < 0) {
        *--at = '-';
    }
    return put(room, at, (size_t)(end - at));
}

static inline int
put_whole(Room *room, PyObject *value)
{
    return put_decimal(room, value, 0, 0);
}

/* Times. */

/* A moment that datetime knows, by its day since 1970 and the microsecond of that day. */
typedef struct {
    int64_t day;
    int64_t microsecond;
} Moment;

static int
moment_of(PyObject *instant, Moment *moment)
{
    int64_t number;
    TRY(whole_of(instant, &number));
    if (number < EARLIEST || number > LATEST) {
        return STOPPED;
    }
    int64_t since = number - EARLIEST; /* whole days before 1970, and never below zero */
    moment->day = since / DAY + EARLIEST / DAY;
    moment->microsecond = since % DAY;
    return WRITTEN;
}

static inline char *
digits(char *at, unsigned number, int count)
{
    for (int i = count - 1; i >= 0; i--, number /= 10) {
        at[i] = (char)('0' + number % 10);
    }
    return at + count;
}

/* The day as 2026-01-05, with `between` in place of the hyphens. */
static char *
date(char *at, int64_t day, char between)
{
    /* Years that begin in March have their leap day last (Howard Hinnant, "chrono-Compatible
     * Low-Level Date Algorithms", civil_from_days). */
    unsigned since = (unsigned)(day + 719468); /* days since 0000-03-01 */
    unsigned era = since / 146097;
    unsigned of_era = since % 146097;
    unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned from_march = (5 * of_year + 2) / 153;
    unsigned month = from_march < 10 ? from_march + 3 : from_march - 9;
    at = digits(at, era * 400 + year_of_era + (month <= 2), 4);
    *at++ = between;
    at = digits(at, month, 2);
    *at++ = between;
    return digits(at, of_year - (153 * from_march + 2) / 5 + 1, 2);
}

static int
put_time(Room *room, const Moment *moment)
{
    if (room->end - room->at < TIME_BYTES_MAX) {
        return STOPPED;
    }
    unsigned second = (unsigned)(moment->microsecond / SECOND);
    unsigned fraction = (unsigned)(moment->microsecond % SECOND);
    char *at = room->at;
    *at++ = '"';
    at = date(at, moment->day, '-');
    *at++ = 'T';
    at = digits(at, second / 3600, 2);
    *at++ = ':';
    at = digits(at, second / 60 % 60, 2);
    *at++ = ':';
    at = digits(at, second % 60, 2);
    if (fraction != 0) {
        *at++ = '.';
        at = digits(at, fraction, 6);
    }
    *at++ = 'Z';
    *at++ = '"';
    room->at = at;
    return WRITTEN;
}

/* As sinks/document.py's `_transactions_index`. */
static int
put_index(Room *room, int64_t day)
{
    if (room->end - room->at < INDEX_BYTES) {
        return STOPPED;
    }
    TRY(PUT(room, "transactions-"));
    room->at = date(room->at, day, '.');
    return WRITTEN;
}

/* Parts of a document. A field that is None is left out, as its struct's omit_defaults has it. */

static inline int
present(PyObject *value)
{
    return value != Py_None;
}

static int
put_position(Room *room, PyObject *position)
{
    if (position == NULL || Py_TYPE(position) != position_type) {
        return STOPPED;
    }
    TRY(PUT(room, ",\"position\":{\"shard_id\":"));
    TRY(put_text(room, field_at(position, position_at[SHARD_ID])));
    TRY(PUT(room, ",\"sequence_number\":"));
    TRY(put_text(room, field_at(position, position_at[SEQUENCE_NUMBER])));
    TRY(PUT(room, ",\"sub_sequence_number\":"));
    TRY(put_whole(room, field_at(position, position_at[SUB_SEQUENCE_NUMBER])));
    return PUT(room, "}");
}

/* A text under `key`, which holds the comma before it and the colon behind it. */
static inline int
put_optional(Room *room, const char *key, size_t key_bytes, PyObject *text)
{
    if (!present(text)) {
        return WRITTEN;
    }
    TRY(put(room, key, key_bytes));
    return put_text(room, text);
}

#define PUT_OPTIONAL(room, key, text) put_optional(room, key, sizeof(key) - 1, text)

static int
put_names(Room *room, PyObject *it)
{
#define NAMED(key, field) TRY(PUT_OPTIONAL(room, key, field_at(it, transaction_at[field])))
    NAMED(",\"register_id\":", REGISTER_ID);
    NAMED(",\"cashier_id\":", CASHIER_ID);
    NAMED(",\"payment_method\":", PAYMENT_METHOD);
    NAMED(",\"card_token\":", CARD_TOKEN);
    NAMED(",\"customer_id\":", CUSTOMER_ID);
    NAMED(",\"contact_name\":", CONTACT_NAME);
    NAMED(",\"contact_email\":", CONTACT_EMAIL);
    NAMED(",\"original_transaction_id\":", ORIGINAL_TRANSACTION_ID);
    NAMED(",\"reason\":", REASON);
#undef NAMED
    return WRITTEN;
}

static int
put_line(Room *room, PyObject *line)
{
    if (Py_TYPE(line) != line_type) {
        return STOPPED;
    }
    char *const start = room->at;
    TRY(PUT_OPTIONAL(room, ",\"item_id\":", field_at(line, line_at[ITEM_ID])));
    TRY(PUT_OPTIONAL(room, ",\"description\":", field_at(line, line_at[DESCRIPTION])));
    TRY(PUT_OPTIONAL(room, ",\"category\":", field_at(line, line_at[CATEGORY])));
    PyObject *quantity = field_at(line, line_at[QUANTITY_THOUSANDTHS]);
    if (present(quantity)) {
        TRY(PUT(room, ",\"quantity\":"));
        TRY(put_decimal(room, quantity, QUANTITY_DECIMALS, 1));
    }
    PyObject *price = field_at(line, line_at[UNIT_PRICE_E4]);
    if (present(price)) {
        TRY(PUT(room, ",\"unit_price\":"));
        TRY(put_decimal(room, price, UNIT_PRICE_DECIMALS, 1));
    }
    if (room->at == start) {
        return PUT(room, "{}");
    }
    *start = '{'; /* in place of the first comma */
    return PUT(room, "}");
}

static int
put_lines(Room *room, PyObject *lines)
{
    if (lines == NULL || !PyTuple_CheckExact(lines)) {
        return STOPPED;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(lines);
    if (count == 0) {
        return WRITTEN;
    }
    TRY(PUT(room, ",\"lines\":["));
    for (Py_ssize_t i = 0; i < count; i++) {
        if (i > 0) {
            TRY(PUT(room, ","));
        }
        TRY(put_line(room, PyTuple_GET_ITEM(lines, i)));
    }
    return PUT(room, "]");
}

/* The bytes as they are: JSON already. */
static int
put_unknown(Room *room, PyObject *unknown)
{
    if (!present(unknown)) {
        return WRITTEN;
    }
    if (unknown == NULL || !PyBytes_CheckExact(unknown)) {
        return STOPPED;
    }
    TRY(PUT(room, ",\"unknown\":"));
    return put(room, PyBytes_AS_STRING(unknown), (size_t)PyBytes_GET_SIZE(unknown));
}

/* By msgspec: few transactions have one, and it is full of floats. */
static int
put_score(Room *room, PyObject *score)
{
    if (!present(score)) {
        return WRITTEN;
    }
    if (score == NULL || Py_TYPE(score) != score_type) {
        return STOPPED;
    }
    TRY(PUT(room, ",\"score\":"));
    Py_INCREF(score); /* who knows what encoding it calls */
    PyObject *json = PyObject_CallOneArg(encode, score);
    Py_DECREF(score);
    if (json == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError)) {
            return FAILED;
        }
        PyErr_Clear(); /* Python meets with it again, and says so */
        return STOPPED;
    }
    int said = STOPPED;
    if (PyBytes_CheckExact(json)) {
        said = put(room, PyBytes_AS_STRING(json), (size_t)PyBytes_GET_SIZE(json));
    }
    Py_DECREF(json);
    return said;
}

/* The decimals of a currency. */
static int
exponent_of(PyObject *currency, int *exponent)
{
    if (currency == NULL || !PyUnicode_CheckExact(currency)) {
        return STOPPED;
    }
    PyObject *found = PyDict_GetItemWithError(exponents, currency);
    if (found == NULL) {
        return PyErr_Occurred() ? FAILED : STOPPED;
    }
    int64_t number;
    TRY(whole_of(found, &number));
    if (number < 0 || number > 4) {
        return STOPPED;
    }
    *exponent = (int)number;
    return WRITTEN;
}

static int
put_action(Room *room, PyObject *id, int64_t day)
{
    if (id == NULL || !PyUnicode_CheckExact(id)) {
        return STOPPED;
    }
    const char *bytes;
    Py_ssize_t count;
    TRY(utf8_of(id, &bytes, &count));
    if (count == 0 || count > ID_BYTES_MAX) {
        return STOPPED;
    }
    TRY(PUT(room, "{\"index\":{\"_index\":\""));
    TRY(put_index(room, day));
    TRY(PUT(room, "\",\"_id\":"));
    TRY(put_text(room, id));
    return PUT(room, "}}\n");
}

/* The fields that every transaction has. */
static int
put_facts(Room *room, PyObject *it, const Moment *occurred, int exponent)
{
    TRY(PUT(room, "{\"transaction_id\":"));
    TRY(put_text(room, field_at(it, transaction_at[TRANSACTION_ID])));
    TRY(PUT(room, ",\"shop_id\":"));
    TRY(put_text(room, field_at(it, transaction_at[SHOP_ID])));
    TRY(PUT(room, ",\"type\":"));
    TRY(put_text(room, field_at(it, transaction_at[TYPE])));
    TRY(PUT(room, ",\"occurred_at\":"));
    TRY(put_time(room, occurred));
    TRY(PUT(room, ",\"utc_offset_minutes\":"));
    TRY(put_whole(room, field_at(it, transaction_at[UTC_OFFSET_MINUTES])));
    TRY(PUT(room, ",\"currency\":"));
    TRY(put_text(room, field_at(it, transaction_at[CURRENCY])));
    TRY(PUT(room, ",\"total\":"));
    return put_decimal(room, field_at(it, transaction_at[TOTAL]), exponent, 0);
}

static int
put_item(Room *room, PyObject *item)
{
    if (Py_TYPE(item) != scored_type) {
        return STOPPED;
    }
    PyObject *it = field_at(item, scored_at[SCORED_TRANSACTION]);
    if (it == NULL || Py_TYPE(it) != transaction_type) {
        return STOPPED;
    }
    Moment occurred;
    int exponent;
    TRY(moment_of(field_at(it, transaction_at[OCCURRED_AT]), &occurred));
    TRY(exponent_of(field_at(it, transaction_at[CURRENCY]), &exponent));
    TRY(put_action(room, field_at(it, transaction_at[TRANSACTION_ID]), occurred.day));
    TRY(put_facts(room, it, &occurred, exponent));
    TRY(put_position(room, field_at(item, scored_at[SCORED_POSITION])));
    PyObject *arrived_at = field_at(item, scored_at[SCORED_ARRIVED_AT]);
    if (present(arrived_at)) {
        Moment arrived;
        TRY(moment_of(arrived_at, &arrived));
        TRY(PUT(room, ",\"arrived_at\":"));
        TRY(put_time(room, &arrived));
    }
    TRY(put_names(room, it));
    PyObject *limit = field_at(it, transaction_at[APPROVAL_LIMIT]);
    if (present(limit)) {
        TRY(PUT(room, ",\"approval_limit\":"));
        TRY(put_decimal(room, limit, exponent, 0));
    }
    TRY(put_lines(room, field_at(it, transaction_at[LINES])));
    TRY(put_unknown(room, field_at(it, transaction_at[UNKNOWN])));
    TRY(put_score(room, field_at(item, scored_at[SCORED_SCORE])));
    return PUT(room, "}\n");
}

PyDoc_STRVAR(transactions_doc,
"transactions(scored, start, bytes_max, /)\n"
"--\n\n"
"The lines of `scored` from `start` on, in `bytes_max` at most, and the place of the next item.\n\n"
"It stops before an item that has no room left, or that is not plain. Where it stops at its first\n"
"item, without a byte, that one is Python's. An exception is about no single item.");

static PyObject *
transactions(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *scored;
    Py_ssize_t next, bytes_max;
    if (!PyArg_ParseTuple(args, "O!nn", &PyTuple_Type, &scored, &next, &bytes_max)) {
        return NULL;
    }
    if (next < 0 || bytes_max < 1) {
        PyErr_SetString(PyExc_ValueError, "start is below 0 or bytes_max below 1");
        return NULL;
    }
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, bytes_max);
    if (bytes == NULL) {
        return NULL;
    }
    Room room = {PyBytes_AS_STRING(bytes), PyBytes_AS_STRING(bytes) + bytes_max};
    int said = WRITTEN;
    for (; next < PyTuple_GET_SIZE(scored); next++) {
        char *const start = room.at;
        said = put_item(&room, PyTuple_GET_ITEM(scored, next));
        if (said != WRITTEN) {
            room.at = start; /* nothing of an item that was stopped at stays */
            break;
        }
    }
    if (said == FAILED) {
        Py_DECREF(bytes);
        return NULL;
    }
    if (_PyBytes_Resize(&bytes, room.at - PyBytes_AS_STRING(bytes)) < 0) {
        return NULL;
    }
    return Py_BuildValue("Nn", bytes, next);
}

static PyMethodDef methods[] = {
    {"transactions", transactions, METH_VARARGS, transactions_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "sinks._bodies",
    .m_doc = PyDoc_STR("The lines of transactions in a bulk body, in C."),
    .m_size = -1,
    .m_methods = methods,
};

/* What is read where; -1 with an exception where it is not as this was written for. */
static int
look_up(void)
{
    if ((scored_type = class_of("events.batch", "Scored")) == NULL ||
        (transaction_type = class_of("events.transaction", "Transaction")) == NULL ||
        (line_type = class_of("events.transaction", "Line")) == NULL ||
        (position_type = class_of("events.position", "Position")) == NULL ||
        (score_type = class_of("events.score", "Score")) == NULL ||
        (exponents = attribute_of("events.money", "EXPONENTS")) == NULL ||
        (encode = attribute_of("msgspec.json", "encode")) == NULL) {
        return -1;
    }
    if (!PyDict_CheckExact(exponents)) {
        PyErr_SetString(PyExc_ImportError, "events.money.EXPONENTS is no dict");
        return -1;
    }
    if (field_offsets(scored_type, SCORED, SCORED_FIELDS, scored_at) < 0 ||
        field_offsets(position_type, POSITION, POSITION_FIELDS, position_at) < 0 ||
        field_offsets(line_type, LINE, LINE_FIELDS, line_at) < 0) {
        return -1;
    }
    return field_offsets(transaction_type, TRANSACTION, TRANSACTION_FIELDS, transaction_at);
}

PyMODINIT_FUNC
PyInit__bodies(void)
{
    return look_up() < 0 ? NULL : PyModule_Create(&definition);
}
