/* What a shop learns from a plain sale: the twin of what anomaly/detector.py's `observe` does of
 * one, with Shop.sell, SaleMemory.keep_hashed, Tenders.keep_hashed and LogAmounts.learn in it.
 *
 * A lesson is decided first: what is to change is noted with its new values, and nothing is touched.
 * Whoever finds it is no plain sale drops the lesson, and the Python goes on from where all was.
 * Handed back are: another type than SALE; a shop or cashier that is not known; an hour that is not
 * the shop's open one; a clock at which incidents close; another currency; the day's first to be
 * kept; an amount among the largest at which half of what is known of them is forgotten; an id or a
 * tender that is not ASCII; and every value that is not exactly of the type that it should be.
 */
#ifndef TILLWATCH_SELL_H
#define TILLWATCH_SELL_H

#include "anomaly/crc32.h"
#include "events/fields.h"

#define CHANGES_MAX 9
#define INT_MAX_TAKEN (1LL << 62)  /* of all integers, so that one more is no overflow */
#define TIME_MAX_TAKEN (1LL << 60) /* of times, so that two of them are none */
#define OFFSET_MAX_TAKEN (1LL << 20)
#define TOTAL_MAX_TAKEN (1LL << 53) /* a float holds these exactly */

enum { T_ID, T_SHOP, T_TYPE, T_AT, T_OFFSET, T_CURRENCY, T_TOTAL, T_REGISTER, T_CASHIER, T_METHOD,
       T_CARD, TRANSACTION_FIELDS };
enum { SHOP_STATE, SHOP_DIRTY, SHOP_AMOUNTS, SHOP_SOLD, SHOP_TENDERS, SHOP_FIELDS };
enum { STATE_CURRENCY, STATE_CLOCK, STATE_CLOSES_AT, STATE_SALES_TODAY, STATE_RATE, STATE_AMOUNTS,
       STATE_TENDERS, STATE_CASHIERS, STATE_LARGE, STATE_SOLD, STATE_FIELDS };
enum { RATE_HOUR, RATE_SALES_NOW, RATE_FIELDS };
enum { SOLD_EVERY, SOLD_MOST, SOLD_ENTRIES, SOLD_DAYS, SOLD_FIELDS };
enum { PAID_PAID, PAID_LEAST, PAID_FIELDS };
enum { AMOUNT_N, AMOUNT_MEAN, AMOUNT_SQUARES, AMOUNT_LARGE, AMOUNT_SEEN, AMOUNT_TOP,
       AMOUNT_FIELDS };
enum { CASHIER_TODAY, CASHIER_FIELDS };
enum { MEMORY_STATE, MEMORY_SIZE, MEMORY_FIELDS };

/* A class, and where its fields lie. */
typedef struct {
    PyTypeObject *type;
    Py_ssize_t at[TRANSACTION_FIELDS];
} Layout;

static Layout of_transaction, of_shop, of_state, of_rate, of_sold, of_paid, of_amount, of_cashier,
    of_amounts, of_sales, of_tenders;

/* The modules' own constants, and math.log: another libm's could differ in the last bit. */
static long long minute_long, hour_long, entry_width, entry_room, name_bits, amount_bits, seen_max,
    top_max, large_sales_max;
static double amount_steps;
static PyObject *python_log;

/* A sale as the detector sees it. All is borrowed. */
typedef struct {
    PyObject *id, *occurred_at, *currency, *amount;
    PyObject *cashier, *tender; /* NULL where there is none */
    long long at, hour, total;
    uint32_t hashed;            /* CRC-32 of the id */
} Sale;

/* What is to change. Places are borrowed, new values are owned. */
typedef struct {
    struct {
        PyObject *object;
        Py_ssize_t offset;
        PyObject *value;
    } changes[CHANGES_MAX];
    int count;
    int first;         /* since its changes were taken: the shop is one more that changed */
    /* What is kept of what it brought; no entries, nothing. */
    PyObject *entries, *days, *day, *oldest; /* the last two owned, the very last only at a cut */
    Py_ssize_t entries_cut, days_cut;        /* so many of the oldest go */
    uint32_t entry;
    /* What is kept of how it was paid; no table, nothing. */
    PyObject *paid;
    size_t place;
    char way;
    /* Where it is kept as one of the largest; no list, nowhere. */
    PyObject *large_sales, *top, *amounts;
    Py_ssize_t rank;
} Lesson;

/* -- values of exactly the type that they should be ---------------------------------------------- */

static inline int
is_a(const Layout *layout, PyObject *object)
{
    return object != NULL && Py_TYPE(object) == layout->type;
}

static inline PyObject *
field_of(const Layout *layout, PyObject *object, int field)
{
    return field_at(object, layout->at[field]);
}

/* Whether `object` is an int of `most` or less in size; then it is in `value`. */
static inline int
is_int(PyObject *object, long long most, long long *value)
{
    int overflow = 0;
    if (object == NULL || !PyLong_CheckExact(object)) {
        return 0;
    }
    *value = PyLong_AsLongLongAndOverflow(object, &overflow);
    return !overflow && -most <= *value && *value <= most;
}

static inline int
is_float(PyObject *object, double *value)
{
    if (object == NULL || !PyFloat_CheckExact(object)) {
        return 0;
    }
    *value = PyFloat_AS_DOUBLE(object);
    return 1;
}

static inline int
is_text(PyObject *object)
{
#if PY_VERSION_HEX < 0x030C0000
    if (object != NULL && PyUnicode_CheckExact(object) && !PyUnicode_IS_READY(object)) {
        return 0; /* of an interface that is gone since: its length is not known yet */
    }
#endif
    return object != NULL && PyUnicode_CheckExact(object);
}

static inline int
is_ascii(PyObject *object)
{
    return is_text(object) && PyUnicode_IS_ASCII(object);
}

static inline int
is_same_ascii(PyObject *one, PyObject *other)
{
    if (!is_ascii(one) || !is_ascii(other)) {
        return 0;
    }
    Py_ssize_t length = PyUnicode_GET_LENGTH(one);
    return one == other ||
           (length == PyUnicode_GET_LENGTH(other) &&
            memcmp(PyUnicode_1BYTE_DATA(one), PyUnicode_1BYTE_DATA(other), (size_t)length) == 0);
}

static inline uint32_t
crc32_of_ascii(PyObject *text)
{
    return crc32_of(PyUnicode_1BYTE_DATA(text), (size_t)PyUnicode_GET_LENGTH(text));
}

/* Python's `one or other` of two texts or Nones; 0 if either is something else. NULL is None. */
static inline int
is_text_or(PyObject *one, PyObject *other, PyObject **found)
{
    if (is_text(one) && PyUnicode_GET_LENGTH(one) > 0) {
        *found = one;
        return 1;
    }
    if (one != Py_None && !is_text(one)) {
        return 0;
    }
    *found = other == Py_None ? NULL : other;
    return other == Py_None || is_text(other);
}

/* -- what is to change --------------------------------------------------------------------------- */

static void
lesson_drop(Lesson *lesson)
{
    for (int i = 0; i < lesson->count; i++) {
        Py_DECREF(lesson->changes[i].value);
    }
    lesson->count = 0;
    Py_CLEAR(lesson->day);
    Py_CLEAR(lesson->oldest);
}

/* Note a new value, whose reference is taken over; -1 if there is none, with its exception. */
static inline int
change(Lesson *lesson, const Layout *layout, PyObject *object, int field, PyObject *value)
{
    if (value == NULL) {
        return -1;
    }
    lesson->changes[lesson->count].object = object;
    lesson->changes[lesson->count].offset = layout->at[field];
    lesson->changes[lesson->count++].value = value;
    return 1;
}

/* Note that the counter at `field` is one more: 1, or 0 if it is no usual int, or -1. */
static inline int
count_one(Lesson *lesson, const Layout *layout, PyObject *object, int field)
{
    long long count;
    if (!is_int(field_of(layout, object, field), INT_MAX_TAKEN, &count)) {
        return 0;
    }
    return change(lesson, layout, object, field, PyLong_FromLongLong(count + 1));
}

/* -- the decision: 1 for plain, 0 for one that is handed back, -1 with an exception --------------- */

static inline int
sale_of(Sale *sale, PyObject *transaction, PyObject *type)
{
    const Layout *fields = &of_transaction;
    long long offset;
    if (!is_same_ascii(field_of(fields, transaction, T_TYPE), type)) {
        return 0;
    }
    sale->id = field_of(fields, transaction, T_ID);
    sale->currency = field_of(fields, transaction, T_CURRENCY);
    sale->occurred_at = field_of(fields, transaction, T_AT);
    sale->amount = field_of(fields, transaction, T_TOTAL);
    if (!is_ascii(sale->id) || !is_int(sale->occurred_at, TIME_MAX_TAKEN, &sale->at) ||
        !is_int(field_of(fields, transaction, T_OFFSET), OFFSET_MAX_TAKEN, &offset) ||
        !is_int(sale->amount, TOTAL_MAX_TAKEN, &sale->total) || sale->total < 0 ||
        !is_text_or(field_of(fields, transaction, T_CASHIER),
                    field_of(fields, transaction, T_REGISTER), &sale->cashier) ||
        !is_text_or(field_of(fields, transaction, T_CARD),
                    field_of(fields, transaction, T_METHOD), &sale->tender)) {
        return 0;
    }
    long long local = sale->at + offset * minute_long;
    sale->hour = local / hour_long - (local % hour_long < 0); /* towards the past, as Python's // */
    return 1;
}

/* The clock, and the sales of the open hour and of the day; that of the day is given. */
static int
decide_counts(Lesson *lesson, const Sale *sale, PyObject *state, long long *today)
{
    PyObject *rate = field_of(&of_state, state, STATE_RATE);
    long long clock, closes_at, hour;
    if (!is_a(&of_rate, rate) ||
        !is_int(field_of(&of_state, state, STATE_CLOCK), INT_MAX_TAKEN, &clock) ||
        !is_int(field_of(&of_state, state, STATE_CLOSES_AT), INT_MAX_TAKEN, &closes_at) ||
        !is_int(field_of(&of_rate, rate, RATE_HOUR), INT_MAX_TAKEN, &hour) ||
        hour != sale->hour || clock >= closes_at || sale->at >= closes_at ||
        !is_int(field_of(&of_state, state, STATE_SALES_TODAY), INT_MAX_TAKEN, today)) {
        return 0;
    }
    *today += 1;
    if (sale->at > clock) {
        Py_INCREF(sale->occurred_at);
        change(lesson, &of_state, state, STATE_CLOCK, sale->occurred_at);
    }
    int counted = count_one(lesson, &of_rate, rate, RATE_SALES_NOW);
    return counted == 1
               ? change(lesson, &of_state, state, STATE_SALES_TODAY, PyLong_FromLongLong(*today))
               : counted;
}

/* SaleMemory._forget_days, with one more sale today: which days go, and what is left of the oldest. */
static int
decide_days(Lesson *lesson, long long most)
{
    Py_ssize_t last = PyList_GET_SIZE(lesson->days) - 1, day = last + 1;
    long long after = 1, count = 0;
    while (after < most) {
        if (--day < 0 || !is_int(PyList_GET_ITEM(lesson->days, day), 1 << 30, &count) || count < 0) {
            return 0;
        }
        after += count;
    }
    if (day > last) {
        return 0; /* a memory of one sale at most */
    }
    lesson->days_cut = day;
    lesson->oldest = PyLong_FromLongLong(count + (day == last) - (after - most));
    return lesson->oldest == NULL ? -1 : 1;
}

/* What is remembered of what it brought. `value` is the logarithm of that. */
static int
decide_sold(Lesson *lesson, const Sale *sale, PyObject *memory, PyObject *sold, long long today,
            double value)
{
    long long every, most, size, count;
    if (!is_a(&of_sales, memory) || !is_a(&of_sold, sold) ||
        field_of(&of_sales, memory, MEMORY_STATE) != sold ||
        !is_int(field_of(&of_sales, memory, MEMORY_SIZE), 1 << 30, &size) || size < 1 ||
        !is_int(field_of(&of_sold, sold, SOLD_EVERY), INT_MAX_TAKEN, &every) || every < 1 ||
        !is_int(field_of(&of_sold, sold, SOLD_MOST), INT_MAX_TAKEN, &most)) {
        return 0;
    }
    if (sale->total > most || today % every != 0) {
        return 1;
    }
    PyObject *entries = field_of(&of_sold, sold, SOLD_ENTRIES);
    PyObject *days = field_of(&of_sold, sold, SOLD_DAYS);
    if (entries == NULL || !PyByteArray_CheckExact(entries) ||
        ((PyByteArrayObject *)entries)->ob_exports != 0 || days == NULL ||
        !PyList_CheckExact(days) || PyList_GET_SIZE(days) == 0 ||
        !is_int(PyList_GET_ITEM(days, PyList_GET_SIZE(days) - 1), 1 << 30, &count) || count < 1) {
        return 0;
    }
    lesson->day = PyLong_FromLongLong(count + 1);
    if (lesson->day == NULL) {
        return -1;
    }
    long long code = sale->total > 1 ? (long long)(value * amount_steps) + 1 : 1;
    lesson->entry = (sale->hashed & (uint32_t)name_bits) |
                    (uint32_t)(code > amount_bits ? amount_bits : code);
    lesson->entries = entries;
    lesson->days = days;
    long long width = PyByteArray_GET_SIZE(entries) + entry_width;
    if (width < (size + entry_room) * entry_width) {
        return 1;
    }
    lesson->entries_cut = (Py_ssize_t)(width - size * entry_width);
    return decide_days(lesson, size);
}

/* What is remembered of how it was paid. */
static int
decide_paid(Lesson *lesson, const Sale *sale, PyObject *tenders, PyObject *state)
{
    long long least;
    if (!is_a(&of_tenders, tenders) || !is_a(&of_paid, state) ||
        field_of(&of_tenders, tenders, MEMORY_STATE) != state ||
        !is_int(field_of(&of_paid, state, PAID_LEAST), INT_MAX_TAKEN, &least)) {
        return 0;
    }
    PyObject *paid = field_of(&of_paid, state, PAID_PAID);
    if (paid == NULL || !PyByteArray_CheckExact(paid)) {
        return 0;
    }
    size_t size = (size_t)PyByteArray_GET_SIZE(paid);
    if (sale->total < least || size == 0 || sale->tender == NULL) {
        return 1;
    }
    if (!is_ascii(sale->tender)) {
        return 0;
    }
    lesson->paid = paid;
    lesson->place = sale->hashed & (size - 1);
    lesson->way = (char)((sale->hashed >> 24 & 0xF0) | (crc32_of_ascii(sale->tender) % 15 + 1));
    return 1;
}

/* The busy cashier, or till. */
static int
decide_cashier(Lesson *lesson, const Sale *sale, PyObject *state)
{
    PyObject *cashiers = field_of(&of_state, state, STATE_CASHIERS);
    if (sale->cashier == NULL) {
        return 1;
    }
    if (cashiers == NULL || !PyDict_CheckExact(cashiers)) {
        return 0;
    }
    PyObject *one = PyDict_GetItemWithError(cashiers, sale->cashier);
    if (one == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    return is_a(&of_cashier, one) ? count_one(lesson, &of_cashier, one, CASHIER_TODAY) : 0;
}

/* One of the largest of the shop's sales: where it goes among them. */
static int
decide_large(Lesson *lesson, const Sale *sale, PyObject *state, PyObject *amounts)
{
    PyObject *large_sales = field_of(&of_state, state, STATE_LARGE);
    PyObject *top = field_of(&of_amount, amounts, AMOUNT_TOP);
    long long seen, one, before = 0;
    if (large_sales == NULL || !PyDict_CheckExact(large_sales) || top == NULL ||
        !PyList_CheckExact(top) || PyList_GET_SIZE(top) > top_max ||
        !is_int(field_of(&of_amount, amounts, AMOUNT_SEEN), INT_MAX_TAKEN, &seen) ||
        seen + 1 >= seen_max) {
        return 0;
    }
    lesson->rank = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(top); i++, before = one) {
        if (!is_int(PyList_GET_ITEM(top, i), INT_MAX_TAKEN, &one) || one < before) {
            return 0;
        }
        lesson->rank += one <= sale->total;
    }
    lesson->large_sales = large_sales;
    lesson->top = top;
    lesson->amounts = amounts;
    return 1;
}

/* What amounts are usual. `value` is the logarithm of this one. */
static int
decide_amounts(Lesson *lesson, const Sale *sale, PyObject *shop, PyObject *state, double value)
{
    const Layout *fields = &of_amount;
    PyObject *estimator = field_of(&of_shop, shop, SHOP_AMOUNTS);
    PyObject *amounts = field_of(&of_state, state, STATE_AMOUNTS);
    double memory, seen, mean, squares;
    long long large;
    if (!is_a(&of_amounts, estimator) || !is_a(fields, amounts) ||
        field_of(&of_amounts, estimator, MEMORY_STATE) != amounts ||
        !is_float(field_of(&of_amounts, estimator, MEMORY_SIZE), &memory) || !(memory >= 1.0) ||
        !is_float(field_of(fields, amounts, AMOUNT_N), &seen) || !(seen >= 0.0) ||
        !is_float(field_of(fields, amounts, AMOUNT_MEAN), &mean) ||
        !is_float(field_of(fields, amounts, AMOUNT_SQUARES), &squares) ||
        !is_int(field_of(fields, amounts, AMOUNT_LARGE), INT_MAX_TAKEN, &large) ||
        (sale->total > large && !decide_large(lesson, sale, state, amounts))) {
        return 0;
    }
    if (seen >= memory) {
        squares *= 1.0 - 1.0 / seen;
        seen -= 1.0;
    }
    double total = seen + 1.0, gap = value - mean;
    mean = mean + gap / total;
    squares += gap * (value - mean);
    int counted = count_one(lesson, fields, amounts, AMOUNT_SEEN);
    if (counted != 1) {
        return counted;
    }
    if (change(lesson, fields, amounts, AMOUNT_N, PyFloat_FromDouble(total)) < 0 ||
        change(lesson, fields, amounts, AMOUNT_MEAN, PyFloat_FromDouble(mean)) < 0 ||
        change(lesson, fields, amounts, AMOUNT_SQUARES, PyFloat_FromDouble(squares)) < 0) {
        return -1;
    }
    return 1;
}

/* math.log of the amount, and nought for nothing and for one; -1 with an exception. */
static inline int
log_of(const Sale *sale, double *value)
{
    *value = 0.0;
    if (sale->total > 1) {
        PyObject *found = PyObject_Vectorcall(python_log, &sale->amount, 1, NULL);
        if (found == NULL) {
            return -1;
        }
        *value = PyFloat_AsDouble(found);
        Py_DECREF(found);
    }
    return 1;
}

/* What the shop is to learn. Whatever is answered, `lesson` has to be learnt or dropped. */
static int
lesson_decide(Lesson *lesson, Sale *sale, PyObject *shop)
{
    lesson->count = 0;
    lesson->entries = lesson->day = lesson->oldest = lesson->paid = lesson->top = NULL;
    lesson->entries_cut = lesson->days_cut = 0;
    if (!is_a(&of_shop, shop)) {
        return 0;
    }
    PyObject *state = field_of(&of_shop, shop, SHOP_STATE);
    PyObject *dirty = field_of(&of_shop, shop, SHOP_DIRTY);
    if (!is_a(&of_state, state) || (dirty != Py_True && dirty != Py_False) ||
        !is_same_ascii(sale->currency, field_of(&of_state, state, STATE_CURRENCY))) {
        return 0;
    }
    long long today;
    double value;
    int plain = decide_counts(lesson, sale, state, &today);
    if (plain == 1) {
        plain = log_of(sale, &value);
    }
    if (plain == 1) {
        plain = decide_amounts(lesson, sale, shop, state, value);
    }
    if (plain == 1) {
        plain = decide_cashier(lesson, sale, state);
    }
    if (plain == 1) {
        sale->hashed = crc32_of_ascii(sale->id);
        plain = decide_sold(lesson, sale, field_of(&of_shop, shop, SHOP_SOLD),
                            field_of(&of_state, state, STATE_SOLD), today, value);
    }
    if (plain == 1) {
        plain = decide_paid(lesson, sale, field_of(&of_shop, shop, SHOP_TENDERS),
                            field_of(&of_state, state, STATE_TENDERS));
    }
    lesson->first = dirty == Py_False;
    if (plain == 1 && lesson->first) {
        Py_INCREF(Py_True);
        change(lesson, &of_shop, shop, SHOP_DIRTY, Py_True);
    }
    return plain;
}

/* SaleMemory.keep_hashed */
static int
learn_sold(Lesson *lesson, PyObject *entries)
{
    Py_ssize_t size = PyByteArray_GET_SIZE(entries), cut = lesson->entries_cut;
    Py_ssize_t width = sizeof lesson->entry;
    if (cut == 0 && PyByteArray_Resize(entries, size + width) < 0) {
        return -1;
    }
    char *bytes = PyByteArray_AS_STRING(entries);
    if (cut > 0) {
        memmove(bytes, bytes + cut, (size_t)(size - cut));
    }
    memcpy(bytes + size - cut, &lesson->entry, (size_t)width); /* little-endian, as we are */
    PyObject *days = lesson->days;
    PyList_SetItem(days, PyList_GET_SIZE(days) - 1, lesson->day);
    lesson->day = NULL;
    if (cut == 0) {
        return 0;
    }
    PyList_SetItem(days, lesson->days_cut, lesson->oldest);
    lesson->oldest = NULL;
    if (PyByteArray_Resize(entries, size - cut + width) < 0) {
        return -1;
    }
    return PyList_SetSlice(days, 0, lesson->days_cut, NULL);
}

/* Shop._remember_large and LogAmounts._keep */
static int
learn_large(Lesson *lesson, const Sale *sale)
{
    PyObject *sales = lesson->large_sales, *top = lesson->top, *first;
    Py_ssize_t place = 0;
    if (PyDict_SetItem(sales, sale->id, sale->amount) < 0 ||
        PyList_Insert(top, lesson->rank, sale->amount) < 0) {
        return -1;
    }
    if (PyDict_GET_SIZE(sales) > large_sales_max && PyDict_Next(sales, &place, &first, NULL)) {
        Py_INCREF(first);
        int gone = PyDict_DelItem(sales, first);
        Py_DECREF(first);
        if (gone < 0) {
            return -1;
        }
    }
    Py_ssize_t more = PyList_GET_SIZE(top) - (Py_ssize_t)top_max;
    if (more > 0 && PyList_SetSlice(top, 0, more, NULL) < 0) {
        return -1;
    }
    PyObject *large = more < 0 ? PyLong_FromLong(0) : Py_NewRef(PyList_GET_ITEM(top, 0));
    if (large == NULL) {
        return -1;
    }
    set_field_at(lesson->amounts, of_amount.at[AMOUNT_LARGE], large);
    return 0;
}

/* Learn it; -1 with an exception if there is no memory left. */
static int
lesson_learn(Lesson *lesson, const Sale *sale)
{
    if ((lesson->entries != NULL && learn_sold(lesson, lesson->entries) < 0) ||
        (lesson->top != NULL && learn_large(lesson, sale) < 0)) {
        return -1;
    }
    if (lesson->paid != NULL) {
        PyByteArray_AS_STRING(lesson->paid)[lesson->place] = lesson->way;
    }
    for (int i = 0; i < lesson->count; i++) {
        set_field_at(lesson->changes[i].object, lesson->changes[i].offset,
                     lesson->changes[i].value);
    }
    lesson->count = 0;
    return 0;
}

/* -- at import ----------------------------------------------------------------------------------- */

static int
layout_of(Layout *layout, const char *module, const char *name, const char *const *fields, int count)
{
    layout->type = class_of(module, name);
    return layout->type == NULL ? -1 : field_offsets(layout->type, fields, count, layout->at);
}

#define LAYOUT(layout, module, name, ...)                                                         \
    layout_of(layout, module, name, (const char *const[]){__VA_ARGS__},                           \
              (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))

static int
constant(const char *module, const char *name, long long *value)
{
    PyObject *found = attribute_of(module, name);
    int usual = found != NULL && is_int(found, INT_MAX_TAKEN, value);
    if (found != NULL && !usual) {
        PyErr_Format(PyExc_ImportError, "%s.%s is no usual int", module, name);
    }
    Py_XDECREF(found);
    return usual ? 0 : -1;
}

static int
sell_constants(void)
{
    if (constant("events.instant", "MINUTE", &minute_long) < 0 ||
        constant("events.instant", "HOUR", &hour_long) < 0 ||
        constant("anomaly.sold", "WIDTH", &entry_width) < 0 ||
        constant("anomaly.sold", "ROOM", &entry_room) < 0 ||
        constant("anomaly.sold", "NAME", &name_bits) < 0 ||
        constant("anomaly.sold", "AMOUNT", &amount_bits) < 0 ||
        constant("anomaly.amounts", "SEEN_MAX", &seen_max) < 0 ||
        constant("anomaly.amounts", "TOP_MAX", &top_max) < 0 ||
        constant("anomaly.shop", "LARGE_SALES_MAX", &large_sales_max) < 0) {
        return -1;
    }
    PyObject *steps = attribute_of("anomaly.sold", "STEPS");
    int usual = steps != NULL && is_float(steps, &amount_steps) && hour_long > 0 &&
                0 < minute_long && minute_long <= 1LL << 40 && entry_width == sizeof(uint32_t);
    if (steps != NULL && !usual) {
        PyErr_SetString(PyExc_ImportError, "another kind of entry than this twin's");
    }
    Py_XDECREF(steps);
    python_log = attribute_of("math", "log");
    return usual && python_log != NULL ? 0 : -1;
}

/* 0, or -1 with an exception where something is not as this twin knows it. */
static int
sell_setup(void)
{
    crc32_setup();
    if (sell_constants() < 0 ||
        LAYOUT(&of_transaction, "events.transaction", "Transaction", "transaction_id", "shop_id",
               "type", "occurred_at", "utc_offset_minutes", "currency", "total", "register_id",
               "cashier_id", "payment_method", "card_token") < 0 ||
        LAYOUT(&of_shop, "anomaly.shop", "Shop", "state", "dirty", "sale_amounts", "sold",
               "tenders") < 0 ||
        LAYOUT(&of_state, "anomaly.state", "ShopState", "currency", "clock", "closes_at",
               "sales_today", "rate", "sale_amounts", "tenders", "cashiers", "large_sales",
               "sold") < 0 ||
        LAYOUT(&of_rate, "anomaly.state", "RateState", "hour", "sales_now") < 0 ||
        LAYOUT(&of_sold, "anomaly.sale_state", "SoldState", "every", "most", "entries",
               "days") < 0 ||
        LAYOUT(&of_paid, "anomaly.sale_state", "TenderState", "paid", "least") < 0 ||
        LAYOUT(&of_amount, "anomaly.state", "AmountState", "n", "mean", "squares", "large",
               "seen", "top") < 0 ||
        LAYOUT(&of_cashier, "anomaly.state", "CashierState", "today") < 0 ||
        LAYOUT(&of_amounts, "anomaly.amounts", "LogAmounts", "state", "memory") < 0 ||
        LAYOUT(&of_sales, "anomaly.sold", "SaleMemory", "state", "sold_max") < 0 ||
        LAYOUT(&of_tenders, "anomaly.tenders", "Tenders", "state") < 0) {
        return -1;
    }
    return 0;
}

#endif
