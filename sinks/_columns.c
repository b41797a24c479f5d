/* The C twin of the columns of sinks/rows.py: the values of a batch as Arrow's buffers.
 *
 * `columns` walks the items once, in stream order, and writes every value where Arrow wants it. It
 * takes what the parser makes: the exact classes, strings that have UTF-8, whole numbers that fit,
 * currencies that are known, columns that Arrow can address with 32 bits. Where one value of the
 * batch is anything else it gives None, and Python does the whole batch with its own exceptions.
 *
 * Scores are few, so that only who has one is said here, and Python makes their columns.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "events/fields.h"

/* What the functions here return: done, to be handed back, failed with an exception. */
enum { DONE = 0, HANDED_BACK = 1, FAILED = -1 };

enum { INT16 = 2, INT32 = 4, INT64 = 8, DECIMAL = 16 };

#define MANTISSA_MAX 1000000000000000000LL
/* Bytes that a text takes at first guess; columns grow twofold beyond. */
#define TEXT_BYTES 12
#define BYTES_MIN 64

/* Some twenty texts a row go the same way: what is put there is worth its length. And a function
 * that does nothing but fetch is no effect in a compiler's eyes: its call would be left out. */
#if defined(__GNUC__)
#define ALWAYS_INLINE inline __attribute__((always_inline))
/* An address may be any here, NULL's too: a number until it is handed over. */
#define FETCH(object, offset) __builtin_prefetch((const void *)((uintptr_t)(object) + (offset)))
#else
#define ALWAYS_INLINE inline
#define FETCH(object, offset) ((void)(object))
#endif

static PyTypeObject *scored_type, *position_type, *transaction_type, *line_type;

enum { POSITION, TRANSACTION, SCORE, ARRIVED_AT, SCORED_FIELDS };
static const char *const SCORED_NAMES[] = {"position", "transaction", "score", "arrived_at"};
static Py_ssize_t scored_at[SCORED_FIELDS];

enum { SHARD_ID, SEQUENCE_NUMBER, SUB_SEQUENCE_NUMBER, POSITION_FIELDS };
static const char *const POSITION_NAMES[] = {"shard_id", "sequence_number", "sub_sequence_number"};
static Py_ssize_t position_at[POSITION_FIELDS];

/* The texts first, and of these the ones that every row has. */
enum {
    TRANSACTION_ID, SHOP_ID, TYPE, CURRENCY, TEXTS_REQUIRED, REGISTER_ID = TEXTS_REQUIRED,
    CASHIER_ID, PAYMENT_METHOD, CARD_TOKEN, CUSTOMER_ID, CONTACT_NAME, CONTACT_EMAIL,
    ORIGINAL_TRANSACTION_ID, REASON, TEXTS, OCCURRED_AT = TEXTS, UTC_OFFSET_MINUTES, TOTAL,
    APPROVAL_LIMIT, LINES, UNKNOWN, TRANSACTION_FIELDS
};
static const char *const TRANSACTION_NAMES[] = {
    "transaction_id", "shop_id", "type", "currency", "register_id", "cashier_id",
    "payment_method", "card_token", "customer_id", "contact_name", "contact_email",
    "original_transaction_id", "reason", "occurred_at", "utc_offset_minutes", "total",
    "approval_limit", "lines", "unknown",
};
static Py_ssize_t transaction_at[TRANSACTION_FIELDS];

enum { ITEM_ID, DESCRIPTION, CATEGORY, LINE_TEXTS, QUANTITY = LINE_TEXTS, UNIT_PRICE, LINE_FIELDS };
static const char *const LINE_NAMES[] = {
    "item_id", "description", "category", "quantity_thousandths", "unit_price_e4",
};
static Py_ssize_t line_at[LINE_FIELDS];

/* One column as far as it is filled. All three are bytes objects that nobody else has seen. */
typedef struct {
    PyObject *present; /* a bit for each row */
    PyObject *values;  /* one of `width` bytes for each row, or where the row's text ends */
    PyObject *text;    /* NULL where the values are no ends */
    Py_ssize_t used;   /* of text */
    Py_ssize_t absent; /* rows without a value */
    int width;
} Column;

/* What amounts are multiplied with, and what they may not reach before. */
typedef struct {
    long long factor, limit;
} Scale;

static const Scale as_it_is = {1, MANTISSA_MAX};

typedef struct {
    Column of[TRANSACTION_FIELDS]; /* at LINES: where the row's lines end */
    Column position[POSITION_FIELDS];
    Column arrived_at;
    Column line[LINE_FIELDS];
    Py_ssize_t lines, lines_room;
    Column shop;     /* which of `shops` it is */
    PyObject *shops; /* shop: its number, as they came */
    Column score;    /* which of `scores` it is */
    PyObject *scores; /* None, for the rows without a score, and the others' as they came */
    PyObject *factors; /* borrowed */
    PyObject *currency; /* borrowed: the row's before */
    Scale scale;        /* of this currency */
} Batch;

/* The bytes of `rows` bits. */
static inline Py_ssize_t
bitmap_bytes(Py_ssize_t rows)
{
    return rows / 8 + BYTES_MIN;
}

/* Make `*bytes` one of `size` bytes, which it may not have been at all before. */
static int
resized(PyObject **bytes, Py_ssize_t size)
{
    if (*bytes == NULL) {
        *bytes = PyBytes_FromStringAndSize(NULL, size);
        return *bytes == NULL ? FAILED : DONE;
    }
    return _PyBytes_Resize(bytes, size) < 0 ? FAILED : DONE;
}

/* Room for `rows` rows, of which there were `before`. A bit is 1 until a row has no value. */
static int
column_room(Column *column, Py_ssize_t before, Py_ssize_t rows)
{
    Py_ssize_t bits = column->present == NULL ? 0 : bitmap_bytes(before);
    if (resized(&column->present, bitmap_bytes(rows)) < 0 ||
        resized(&column->values, (rows + 1) * column->width + BYTES_MIN) < 0) {
        return FAILED;
    }
    memset(PyBytes_AS_STRING(column->present) + bits, 0xff, (size_t)(bitmap_bytes(rows) - bits));
    return DONE;
}

static int
column_begin(Column *column, Py_ssize_t rows, int width)
{
    column->width = width;
    return column_room(column, 0, rows);
}

static int
texts_begin(Column *column, Py_ssize_t rows)
{
    if (column_begin(column, rows, INT32) < 0) {
        return FAILED;
    }
    memset(PyBytes_AS_STRING(column->values), 0, INT32);
    return resized(&column->text, rows * TEXT_BYTES + BYTES_MIN);
}

static void
column_clear(Column *column)
{
    Py_CLEAR(column->present);
    Py_CLEAR(column->values);
    Py_CLEAR(column->text);
}

static inline void
mark_absent(Column *column, Py_ssize_t row)
{
    PyBytes_AS_STRING(column->present)[row >> 3] &= (char)~(1 << (row & 7));
    column->absent++;
}

static inline void
put_value(Column *column, Py_ssize_t row, const void *value, size_t width)
{
    memcpy(PyBytes_AS_STRING(column->values) + row * (Py_ssize_t)width, value, width);
}

/* Say where the text of `row` ends: where the next one begins. */
static inline void
put_end(Column *column, Py_ssize_t row, Py_ssize_t end)
{
    int32_t value = (int32_t)end;
    put_value(column, row + 1, &value, INT32);
}

/* memcpy for what is short mostly, where calling it takes longer than the copy. */
static inline void
copy_text(char *to, const char *from, size_t size)
{
    if (size > 16) {
        memcpy(to, from, size);
    }
    else if (size >= 8) { /* the first eight and the last eight, which may overlap */
        memcpy(to, from, 8);
        memcpy(to + size - 8, from + size - 8, 8);
    }
    else if (size >= 4) {
        memcpy(to, from, 4);
        memcpy(to + size - 4, from + size - 4, 4);
    }
    else {
        for (size_t i = 0; i < size; i++) {
            to[i] = from[i];
        }
    }
}

static ALWAYS_INLINE int
put_text(Column *column, Py_ssize_t row, const char *text, Py_ssize_t size)
{
    if (size > INT32_MAX - column->used) {
        return HANDED_BACK;
    }
    Py_ssize_t end = column->used + size;
    if (end > PyBytes_GET_SIZE(column->text) && resized(&column->text, 2 * end) < 0) {
        return FAILED;
    }
    copy_text(PyBytes_AS_STRING(column->text) + column->used, text, (size_t)size);
    column->used = end;
    put_end(column, row, end);
    return DONE;
}

/* What an exception that a string's codec has raised leads to. */
static int
not_unicode(void)
{
    if (!PyErr_ExceptionMatches(PyExc_UnicodeError)) {
        return FAILED;
    }
    PyErr_Clear();
    return HANDED_BACK;
}

static ALWAYS_INLINE int
put_string(Column *column, Py_ssize_t row, PyObject *value)
{
    if (value == NULL || !PyUnicode_CheckExact(value)) {
        return HANDED_BACK;
    }
    if (PyUnicode_IS_COMPACT_ASCII(value)) {
        return put_text(column, row, PyUnicode_DATA(value), PyUnicode_GET_LENGTH(value));
    }
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);
    return text == NULL ? not_unicode() : put_text(column, row, text, size);
}

static ALWAYS_INLINE int
put_string_or_none(Column *column, Py_ssize_t row, PyObject *value)
{
    if (value != Py_None) {
        return put_string(column, row, value);
    }
    mark_absent(column, row);
    put_end(column, row, column->used);
    return DONE;
}

/* JSON as bytes, which are to be UTF-8. */
static int
put_json_or_none(Column *column, Py_ssize_t row, PyObject *value)
{
    if (value == Py_None) {
        return put_string_or_none(column, row, value);
    }
    if (value == NULL || !PyBytes_CheckExact(value)) {
        return HANDED_BACK;
    }
    PyObject *decoded = PyUnicode_DecodeUTF8(
        PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), "strict");
    if (decoded == NULL) {
        return not_unicode();
    }
    Py_DECREF(decoded);
    return put_text(column, row, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
}

/* Whether `value` is a whole number of 64 bits, which `*number` then is. */
static inline int
is_whole(PyObject *value, long long *number)
{
    if (value == NULL || !PyLong_CheckExact(value)) {
        return 0;
    }
    int overflow;
    *number = PyLong_AsLongLongAndOverflow(value, &overflow);
    return !overflow;
}

static int
put_int64(Column *column, Py_ssize_t row, PyObject *value)
{
    long long number;
    if (!is_whole(value, &number)) {
        return HANDED_BACK;
    }
    int64_t held = number;
    put_value(column, row, &held, INT64);
    return DONE;
}

static int
put_int16(Column *column, Py_ssize_t row, PyObject *value)
{
    long long number;
    if (!is_whole(value, &number) || number < INT16_MIN || number > INT16_MAX) {
        return HANDED_BACK;
    }
    int16_t held = (int16_t)number;
    put_value(column, row, &held, INT16);
    return DONE;
}

/* `value` scaled: a little-endian integer of 128 bits, and 18 digits at most. */
static int
put_decimal(Column *column, Py_ssize_t row, PyObject *value, const Scale *scale)
{
    long long number;
    if (!is_whole(value, &number) || number >= scale->limit || number <= -scale->limit) {
        return HANDED_BACK;
    }
    int64_t halves[2] = {number * scale->factor, number < 0 ? -1 : 0};
    put_value(column, row, halves, DECIMAL);
    return DONE;
}

/* No value: its place is filled, for what is never written would differ from run to run. */
static int
put_none(Column *column, Py_ssize_t row)
{
    memset(PyBytes_AS_STRING(column->values) + row * column->width, 0, (size_t)column->width);
    mark_absent(column, row);
    return DONE;
}

static int
put_decimal_or_none(Column *column, Py_ssize_t row, PyObject *value, const Scale *scale)
{
    return value == Py_None ? put_none(column, row) : put_decimal(column, row, value, scale);
}

static int
put_line(Batch *batch, PyObject *line)
{
    if (Py_TYPE(line) != line_type) {
        return HANDED_BACK;
    }
    Py_ssize_t row = batch->lines;
    if (row == batch->lines_room) {
        for (int i = 0; i < LINE_FIELDS; i++) {
            if (column_room(&batch->line[i], row, 2 * row) < 0) {
                return FAILED;
            }
        }
        batch->lines_room = 2 * row;
    }
    for (int i = 0; i < LINE_FIELDS; i++) {
        PyObject *value = field_at(line, line_at[i]);
        int done = i < LINE_TEXTS ? put_string_or_none(&batch->line[i], row, value)
                                  : put_decimal_or_none(&batch->line[i], row, value, &as_it_is);
        if (done != DONE) {
            return done;
        }
    }
    batch->lines++;
    return DONE;
}

static int
put_lines(Batch *batch, Py_ssize_t row, PyObject *lines)
{
    if (lines == NULL || !PyTuple_CheckExact(lines) ||
        PyTuple_GET_SIZE(lines) > INT32_MAX - batch->lines) {
        return HANDED_BACK;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(lines); i++) {
        int done = put_line(batch, PyTuple_GET_ITEM(lines, i));
        if (done != DONE) {
            return done;
        }
    }
    put_end(&batch->of[LINES], row, batch->lines);
    return DONE;
}

/* Know the scale of `currency`, an exact string: from its minor units to the column's decimals. */
static int
find_scale(Batch *batch, PyObject *currency)
{
    if (currency == batch->currency) {
        return DONE;
    }
    PyObject *factor = PyDict_GetItemWithError(batch->factors, currency);
    if (factor == NULL) {
        return PyErr_Occurred() ? FAILED : HANDED_BACK;
    }
    long long number;
    if (!is_whole(factor, &number) || number < 1) {
        return HANDED_BACK;
    }
    batch->scale = (Scale){number, MANTISSA_MAX / number};
    batch->currency = currency;
    return DONE;
}

static int
put_number_of_shop(Batch *batch, Py_ssize_t row, PyObject *shop)
{
    long long number = PyDict_GET_SIZE(batch->shops);
    PyObject *known = PyDict_GetItemWithError(batch->shops, shop);
    if (known == NULL) {
        if (PyErr_Occurred()) {
            return FAILED;
        }
        PyObject *fresh = PyLong_FromLongLong(number);
        int failed = fresh == NULL || PyDict_SetItem(batch->shops, shop, fresh) < 0;
        Py_XDECREF(fresh);
        if (failed) {
            return FAILED;
        }
    }
    else {
        number = PyLong_AsLongLong(known);
    }
    int32_t held = (int32_t)number;
    put_value(&batch->shop, row, &held, INT32);
    return DONE;
}

static int
put_number_of_score(Batch *batch, Py_ssize_t row, PyObject *score)
{
    int32_t number = 0;
    if (score == NULL) {
        return HANDED_BACK;
    }
    if (score != Py_None) {
        number = (int32_t)PyList_GET_SIZE(batch->scores);
        if (PyList_Append(batch->scores, score) < 0) {
            return FAILED;
        }
    }
    put_value(&batch->score, row, &number, INT32);
    return DONE;
}

/* Leaves the function where `call` was not done. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        int done_ = (call);                                                                        \
        if (done_ != DONE) {                                                                       \
            return done_;                                                                          \
        }                                                                                          \
    } while (0)

static int
put_transaction(Batch *batch, Py_ssize_t row, PyObject *transaction)
{
    if (transaction == NULL || Py_TYPE(transaction) != transaction_type) {
        return HANDED_BACK;
    }
    PyObject *field[TRANSACTION_FIELDS];
    for (int i = 0; i < TRANSACTION_FIELDS; i++) {
        field[i] = field_at(transaction, transaction_at[i]);
    }
    for (int i = 0; i < TEXTS_REQUIRED; i++) {
        TRY(put_string(&batch->of[i], row, field[i]));
    }
    for (int i = TEXTS_REQUIRED; i < TEXTS; i++) {
        TRY(put_string_or_none(&batch->of[i], row, field[i]));
    }
    TRY(find_scale(batch, field[CURRENCY]));
    TRY(put_number_of_shop(batch, row, field[SHOP_ID]));
    TRY(put_int64(&batch->of[OCCURRED_AT], row, field[OCCURRED_AT]));
    TRY(put_int16(&batch->of[UTC_OFFSET_MINUTES], row, field[UTC_OFFSET_MINUTES]));
    TRY(put_decimal(&batch->of[TOTAL], row, field[TOTAL], &batch->scale));
    TRY(put_decimal_or_none(&batch->of[APPROVAL_LIMIT], row, field[APPROVAL_LIMIT],
                            &batch->scale));
    TRY(put_json_or_none(&batch->of[UNKNOWN], row, field[UNKNOWN]));
    return put_lines(batch, row, field[LINES]);
}

static int
put_position(Batch *batch, Py_ssize_t row, PyObject *position)
{
    if (position == NULL || Py_TYPE(position) != position_type) {
        return HANDED_BACK;
    }
    Column *of = batch->position;
    TRY(put_string(&of[SHARD_ID], row, field_at(position, position_at[SHARD_ID])));
    TRY(put_string(&of[SEQUENCE_NUMBER], row, field_at(position, position_at[SEQUENCE_NUMBER])));
    return put_int64(&of[SUB_SEQUENCE_NUMBER], row,
                     field_at(position, position_at[SUB_SEQUENCE_NUMBER]));
}

static int
put_item(Batch *batch, Py_ssize_t row, PyObject *item)
{
    if (Py_TYPE(item) != scored_type) {
        return HANDED_BACK;
    }
    TRY(put_position(batch, row, field_at(item, scored_at[POSITION])));
    TRY(put_transaction(batch, row, field_at(item, scored_at[TRANSACTION])));
    TRY(put_number_of_score(batch, row, field_at(item, scored_at[SCORE])));
    PyObject *arrived_at = field_at(item, scored_at[ARRIVED_AT]);
    return arrived_at == Py_None ? put_none(&batch->arrived_at, row)
                                 : put_int64(&batch->arrived_at, row, arrived_at);
}

/* Rows ahead whose items, whose parts and whose values are asked for. */
enum { ITEMS_AHEAD = 8, PARTS_AHEAD = 5, VALUES_AHEAD = 2 };

/* The item of `row`; NULL where there is none, or none of ours. */
static inline PyObject *
item_ahead(PyObject *items, Py_ssize_t row)
{
    PyObject *item = row < PyTuple_GET_SIZE(items) ? PyTuple_GET_ITEM(items, row) : NULL;
    return item == NULL || Py_TYPE(item) != scored_type ? NULL : item;
}

/* Ask for the values of `item` that are its own: what many rows share is there already, and more
 * at a time than these the processor does not fetch. A hash may reach into a second line. */
static ALWAYS_INLINE void
fetch_values(PyObject *item)
{
    PyObject *transaction = field_at(item, scored_at[TRANSACTION]);
    if (transaction != NULL && Py_TYPE(transaction) == transaction_type) {
        FETCH(field_at(transaction, transaction_at[TRANSACTION_ID]), 16);
        FETCH(field_at(transaction, transaction_at[CARD_TOKEN]), 16);
        FETCH(field_at(transaction, transaction_at[CARD_TOKEN]), 80);
        FETCH(field_at(transaction, transaction_at[TOTAL]), 16);
        FETCH(field_at(transaction, transaction_at[OCCURRED_AT]), 16);
        FETCH(field_at(transaction, transaction_at[LINES]), 24);
    }
    PyObject *position = field_at(item, scored_at[POSITION]);
    if (position != NULL && Py_TYPE(position) == position_type) {
        FETCH(field_at(position, position_at[SEQUENCE_NUMBER]), 16);
    }
}

/* Have what the next rows are read from on its way: a batch is larger than the processor's cache,
 * and waiting for memory takes as long as all the rest. Where values are is said by the parts of an
 * item, and where these are by the item. Nothing is read here that is not there. */
static ALWAYS_INLINE void
fetch_ahead(PyObject *items, Py_ssize_t row)
{
    if (row + ITEMS_AHEAD < PyTuple_GET_SIZE(items)) {
        FETCH(PyTuple_GET_ITEM(items, row + ITEMS_AHEAD), 0);
        FETCH(PyTuple_GET_ITEM(items, row + ITEMS_AHEAD), 48);
    }
    PyObject *item = item_ahead(items, row + PARTS_AHEAD);
    if (item != NULL) {
        FETCH(field_at(item, scored_at[TRANSACTION]), 0);
        FETCH(field_at(item, scored_at[TRANSACTION]), 64);
        FETCH(field_at(item, scored_at[TRANSACTION]), 128);
        FETCH(field_at(item, scored_at[POSITION]), 0);
    }
    item = item_ahead(items, row + VALUES_AHEAD);
    if (item != NULL) {
        fetch_values(item);
    }
}

static int
batch_begin(Batch *batch, Py_ssize_t rows)
{
    static const int widths[] = {INT64, INT16, DECIMAL, DECIMAL, INT32};
    for (int i = 0; i < TEXTS; i++) {
        TRY(texts_begin(&batch->of[i], rows));
    }
    for (int i = OCCURRED_AT; i <= LINES; i++) {
        TRY(column_begin(&batch->of[i], rows, widths[i - OCCURRED_AT]));
    }
    memset(PyBytes_AS_STRING(batch->of[LINES].values), 0, INT32);
    TRY(texts_begin(&batch->of[UNKNOWN], rows));
    TRY(texts_begin(&batch->position[SHARD_ID], rows));
    TRY(texts_begin(&batch->position[SEQUENCE_NUMBER], rows));
    TRY(column_begin(&batch->position[SUB_SEQUENCE_NUMBER], rows, INT64));
    TRY(column_begin(&batch->arrived_at, rows, INT64));
    TRY(column_begin(&batch->shop, rows, INT32));
    TRY(column_begin(&batch->score, rows, INT32));
    batch->lines_room = rows;
    for (int i = 0; i < LINE_FIELDS; i++) {
        TRY(i < LINE_TEXTS ? texts_begin(&batch->line[i], rows)
                           : column_begin(&batch->line[i], rows, DECIMAL));
    }
    batch->shops = PyDict_New();
    batch->scores = Py_BuildValue("[O]", Py_None);
    return batch->shops == NULL || batch->scores == NULL ? FAILED : DONE;
}

static void
batch_clear(Batch *batch)
{
    for (int i = 0; i < TRANSACTION_FIELDS; i++) {
        column_clear(&batch->of[i]);
    }
    for (int i = 0; i < POSITION_FIELDS; i++) {
        column_clear(&batch->position[i]);
    }
    for (int i = 0; i < LINE_FIELDS; i++) {
        column_clear(&batch->line[i]);
    }
    column_clear(&batch->arrived_at);
    column_clear(&batch->shop);
    column_clear(&batch->score);
    Py_CLEAR(batch->shops);
    Py_CLEAR(batch->scores);
}

/* The buffers of `column`, as pyarrow.Array.from_buffers takes them. */
static PyObject *
buffers_of(const Column *column)
{
    PyObject *present = column->absent ? column->present : Py_None;
    return column->text == NULL ? PyTuple_Pack(2, present, column->values)
                                : PyTuple_Pack(3, present, column->values, column->text);
}

static int
give(PyObject *named, const char *name, const Column *column)
{
    PyObject *buffers = buffers_of(column);
    int done = buffers == NULL ? FAILED : PyDict_SetItemString(named, name, buffers);
    Py_XDECREF(buffers);
    return done;
}

static int
give_all(const Batch *batch, PyObject *named)
{
    for (int i = 0; i < TRANSACTION_FIELDS; i++) {
        if (i != LINES) {
            TRY(give(named, TRANSACTION_NAMES[i], &batch->of[i]));
        }
    }
    for (int i = 0; i < POSITION_FIELDS; i++) {
        TRY(give(named, POSITION_NAMES[i], &batch->position[i]));
    }
    return give(named, "arrived_at", &batch->arrived_at);
}

static PyObject *
given_lines(const Batch *batch)
{
    PyObject *made = PyTuple_New(LINE_FIELDS);
    for (int i = 0; made != NULL && i < LINE_FIELDS; i++) {
        PyObject *buffers = buffers_of(&batch->line[i]);
        if (buffers == NULL) {
            Py_CLEAR(made);
        }
        else {
            PyTuple_SET_ITEM(made, i, buffers);
        }
    }
    return made;
}

static PyObject *
given(const Batch *batch)
{
    PyObject *made = NULL, *named = PyDict_New(), *of_lines = given_lines(batch);
    if (named != NULL && of_lines != NULL && give_all(batch, named) == DONE) {
        made = Py_BuildValue("(O(nOO)(OO)(OO))", named, batch->lines, batch->of[LINES].values,
                             of_lines, batch->shops, batch->shop.values, batch->scores,
                             batch->score.values);
    }
    Py_XDECREF(named);
    Py_XDECREF(of_lines);
    return made;
}

PyDoc_STRVAR(columns_doc,
"columns(scored, factors) -> buffers of a batch, or None where Python is to do it; see the stub.");

static PyObject *
columns(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2 || !PyDict_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "columns takes items and a dict of factors");
        return NULL;
    }
    if (!PyTuple_CheckExact(args[0]) && !PyList_CheckExact(args[0])) {
        Py_RETURN_NONE;
    }
    Batch batch = {.factors = args[1]};
    PyObject *made = NULL;
    /* A tuple, so that nothing lets go of the items meanwhile. */
    PyObject *items = PySequence_Tuple(args[0]);
    if (items == NULL) {
        return NULL;
    }
    Py_ssize_t rows = PyTuple_GET_SIZE(items);
    int done = rows == 0 || rows >= INT32_MAX ? HANDED_BACK : batch_begin(&batch, rows);
    for (Py_ssize_t row = 0; done == DONE && row < rows; row++) {
        fetch_ahead(items, row);
        done = put_item(&batch, row, PyTuple_GET_ITEM(items, row));
    }
    if (done == DONE) {
        made = given(&batch);
    }
    else if (done == HANDED_BACK) {
        made = Py_NewRef(Py_None);
    }
    batch_clear(&batch);
    Py_DECREF(items);
    return made;
}

static PyMethodDef methods[] = {
    {"columns", (PyCFunction)(void (*)(void))columns, METH_FASTCALL, columns_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "sinks._columns",
    .m_doc = "The columns of a batch as Arrow's buffers; see sinks/rows.py.",
    .m_size = -1,
    .m_methods = methods,
};

/* Look up `type`'s fields in `module`; -1 with an exception on failure. */
static int
know(PyTypeObject **type, const char *module, const char *name, const char *const *names,
     int count, Py_ssize_t *offsets)
{
    *type = class_of(module, name);
    return *type == NULL ? -1 : field_offsets(*type, names, count, offsets);
}

PyMODINIT_FUNC
PyInit__columns(void)
{
#if PY_BIG_ENDIAN
    PyErr_SetString(PyExc_ImportError, "Arrow's decimals are little-endian, this machine is not");
    return NULL;
#endif
    if (know(&scored_type, "events.batch", "Scored", SCORED_NAMES, SCORED_FIELDS, scored_at) < 0 ||
        know(&position_type, "events.position", "Position", POSITION_NAMES, POSITION_FIELDS,
             position_at) < 0 ||
        know(&transaction_type, "events.transaction", "Transaction", TRANSACTION_NAMES,
             TRANSACTION_FIELDS, transaction_at) < 0 ||
        know(&line_type, "events.transaction", "Line", LINE_NAMES, LINE_FIELDS, line_at) < 0) {
        return NULL;
    }
    return PyModule_Create(&definition);
}
