/* Plain sales, one after the other: the twin of what consumer/pipeline.py does of such a record, of
 * Duplicates.see for an id that is new, and of what the detector learns then (anomaly/sell.h).
 *
 * A sale is done wholly or not touched. `take` ends in front of the first record that is not plain:
 * what is no Transaction; a shop whose key group is not cached; an id that is remembered, or with
 * which the current generation is full; what anomaly/sell.h hands back; and every object that is not
 * exactly of the class that it should be.
 *
 * An exception is that there is no memory left. It travels, as it does in Python: nobody goes on with
 * such a pipeline.
 */
#include "anomaly/sell.h"

enum { RECORD_POSITION, RECORD_DATA, RECORD_ARRIVED, RECORD_FIELDS };
enum { SEEN_CURRENT, SEEN_PREVIOUS, SEEN_FIELDS };

static Layout of_record, of_seen;
static PyTypeObject *scored_type;
static PyObject *text_sale, *text_shops, *text_changed, *text_groups, *text_remembered_min;

/* What a call works on. The first five are its arguments and borrowed, the next three owned. */
typedef struct {
    PyObject *drawn, *parsed, *detector, *group_of, *scored;
    PyObject *shops, *changed, *groups;
    long long remembered_min, room, bytes, bytes_max, watermark, lateness, late;
} Run;

/* A record on its way. All is borrowed, but for the last two. */
typedef struct {
    PyObject *position, *data, *arrived_at, *transaction, *shop;
    PyObject *seen_ids; /* the current generation */
    long long seen_at;
    Sale sale;
    Lesson lesson;
    PyObject *digest, *scored;
} Taken;

/* -- the decision: 1 for plain, 0 for one that is handed back, -1 with an exception --------------- */

/* `dictionary[key]` for a text; NULL without an exception where there is none. */
static inline PyObject *
found_in(PyObject *dictionary, PyObject *key)
{
    if (dictionary == NULL || !PyDict_CheckExact(dictionary) || key == NULL) {
        return NULL;
    }
    return PyDict_GetItemWithError(dictionary, key);
}

/* Whether the id is new, and is not the one with which its generation turns. */
static int
decide_new(const Run *run, Taken *taken, PyObject *shop_id)
{
    PyObject *id = taken->sale.id;
    PyObject *seen = found_in(run->groups, found_in(run->group_of, shop_id));
    if (!is_a(&of_seen, seen)) {
        return PyErr_Occurred() ? -1 : 0;
    }
    PyObject *current = field_of(&of_seen, seen, SEEN_CURRENT);
    PyObject *previous = field_of(&of_seen, seen, SEEN_PREVIOUS);
    if (current == NULL || !PyDict_CheckExact(current) || previous == NULL ||
        !PyDict_CheckExact(previous) ||
        (long long)PyDict_GET_SIZE(current) + 1 >= run->remembered_min) {
        return 0;
    }
    if (found_in(current, id) != NULL || found_in(previous, id) != NULL) {
        return 0;
    }
    taken->seen_ids = current;
    return PyErr_Occurred() ? -1 : 1;
}

static int
decide(const Run *run, Taken *taken, PyObject *record, PyObject *transaction)
{
    long long arrived;
    if (!is_a(&of_transaction, transaction) || !is_a(&of_record, record)) {
        return 0;
    }
    taken->transaction = transaction;
    taken->position = field_of(&of_record, record, RECORD_POSITION);
    taken->data = field_of(&of_record, record, RECORD_DATA);
    taken->arrived_at = field_of(&of_record, record, RECORD_ARRIVED);
    PyObject *shop_id = field_of(&of_transaction, transaction, T_SHOP);
    if (taken->position == NULL || taken->data == NULL || !PyBytes_CheckExact(taken->data) ||
        taken->arrived_at == NULL || !is_text(shop_id) ||
        !sale_of(&taken->sale, transaction, text_sale)) {
        return 0;
    }
    taken->seen_at = taken->sale.at;
    if (taken->arrived_at != Py_None) {
        if (!is_int(taken->arrived_at, TIME_MAX_TAKEN, &arrived)) {
            return 0;
        }
        taken->seen_at = taken->sale.at < arrived ? taken->sale.at : arrived;
    }
    int plain = decide_new(run, taken, shop_id);
    if (plain != 1) {
        return plain;
    }
    taken->shop = found_in(run->shops, shop_id);
    if (taken->shop == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    return lesson_decide(&taken->lesson, &taken->sale, taken->shop);
}

/* -- the record ---------------------------------------------------------------------------------- */

/* The new objects that are put into a collection each. */
static int
make(Taken *taken)
{
    PyObject *fields[] = {taken->position, taken->transaction, Py_None, taken->data,
                          taken->arrived_at};
    taken->digest = PyLong_FromUnsignedLong(
        crc32_of(PyBytes_AS_STRING(taken->data), (size_t)PyBytes_GET_SIZE(taken->data)));
    taken->scored = PyObject_Vectorcall((PyObject *)scored_type, fields, 5, NULL);
    return taken->digest == NULL || taken->scored == NULL ? -1 : 0;
}

/* Let the sale count: remembered, learnt, scored, in the order in which Python does it. */
static int
count_sale(Run *run, Taken *taken)
{
    if (PyDict_SetItem(taken->seen_ids, taken->sale.id, taken->digest) < 0 ||
        (taken->lesson.first && PyList_Append(run->changed, taken->shop) < 0) ||
        lesson_learn(&taken->lesson, &taken->sale) < 0 || PyList_Append(run->scored, taken->scored) < 0) {
        return -1;
    }
    if (taken->seen_at > run->watermark) {
        run->watermark = taken->seen_at;
    }
    else if (taken->sale.at + run->lateness < run->watermark) {
        run->late++;
    }
    run->bytes += PyBytes_GET_SIZE(taken->data);
    run->room--;
    return 0;
}

static int
take_one(Run *run, Py_ssize_t at)
{
    Taken taken;
    taken.lesson.count = 0;
    taken.lesson.day = taken.lesson.oldest = taken.digest = taken.scored = NULL;
    int plain =
        decide(run, &taken, PyList_GET_ITEM(run->drawn, at), PyList_GET_ITEM(run->parsed, at));
    if (plain == 1 && (make(&taken) < 0 || count_sale(run, &taken) < 0)) {
        plain = -1;
    }
    lesson_drop(&taken.lesson);
    Py_XDECREF(taken.digest);
    Py_XDECREF(taken.scored);
    return plain;
}

/* -- the call ------------------------------------------------------------------------------------ */

/* Fetched anew for each call: the detector puts others in their place. */
static int
begin(Run *run, PyObject *duplicates)
{
    run->shops = PyObject_GetAttr(run->detector, text_shops);
    run->changed = run->shops ? PyObject_GetAttr(run->detector, text_changed) : NULL;
    run->groups = run->changed ? PyObject_GetAttr(duplicates, text_groups) : NULL;
    PyObject *least = run->groups ? PyObject_GetAttr(duplicates, text_remembered_min) : NULL;
    if (least == NULL) {
        return -1;
    }
    int usual = is_int(least, INT_MAX_TAKEN, &run->remembered_min) &&
                PyList_CheckExact(run->changed) && PyList_CheckExact(run->drawn) &&
                PyList_CheckExact(run->parsed) && PyList_CheckExact(run->scored);
    Py_DECREF(least);
    return usual;
}

static PyObject *
taken_up_to(const Run *run, Py_ssize_t at)
{
    return Py_BuildValue("nLLL", at, run->bytes, run->watermark, run->late);
}

PyDoc_STRVAR(take_doc, "take(drawn, parsed, at, detector, duplicates, group_of, scored, room, size, "
                       "size_max, watermark, lateness, late)\n--\n\n"
                       "Take plain sales from drawn[at] on: see _sales.pyi.");

static PyObject *
take(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Run run = {0};
    long long at;
    if (count != 13) {
        PyErr_SetString(PyExc_TypeError, "take() takes 13 arguments");
        return NULL;
    }
    if (!is_int(args[2], INT_MAX_TAKEN, &at) || !is_int(args[7], INT_MAX_TAKEN, &run.room) ||
        !is_int(args[8], TIME_MAX_TAKEN, &run.bytes) ||
        !is_int(args[9], INT_MAX_TAKEN, &run.bytes_max) ||
        !is_int(args[10], INT_MAX_TAKEN, &run.watermark) ||
        !is_int(args[11], TIME_MAX_TAKEN, &run.lateness) ||
        !is_int(args[12], TIME_MAX_TAKEN, &run.late)) {
        Py_RETURN_NONE;
    }
    run.drawn = args[0], run.parsed = args[1], run.detector = args[3];
    run.group_of = args[5], run.scored = args[6];
    int plain = begin(&run, args[4]);
    long long first = at;
    while (plain == 1 && 0 <= at && at < PyList_GET_SIZE(run.drawn) &&
           at < PyList_GET_SIZE(run.parsed) && run.room > 0 && run.bytes < run.bytes_max) {
        plain = take_one(&run, (Py_ssize_t)at);
        at += plain == 1;
    }
    PyObject *answer = NULL;
    if (plain >= 0) {
        answer = at > first ? taken_up_to(&run, (Py_ssize_t)at) : Py_NewRef(Py_None);
    }
    Py_XDECREF(run.shops);
    Py_XDECREF(run.changed);
    Py_XDECREF(run.groups);
    return answer;
}

/* -- the module ---------------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"take", (PyCFunction)(void (*)(void))take, METH_FASTCALL, take_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_sales", "Plain sales, one after the other.", -1, methods, NULL, NULL,
    NULL, NULL,
};

static int
setup(void)
{
    scored_type = class_of("events.batch", "Scored");
    text_sale = PyUnicode_InternFromString("SALE");
    text_shops = PyUnicode_InternFromString("_shops");
    text_changed = PyUnicode_InternFromString("_changed");
    text_groups = PyUnicode_InternFromString("_groups");
    text_remembered_min = PyUnicode_InternFromString("_remembered_min");
    if (scored_type == NULL || text_sale == NULL || text_shops == NULL || text_changed == NULL ||
        text_groups == NULL || text_remembered_min == NULL || sell_setup() < 0 ||
        LAYOUT(&of_record, "events.record", "Record", "position", "data", "arrived_at") < 0 ||
        LAYOUT(&of_seen, "consumer.duplicates", "_Generations", "current", "previous") < 0) {
        return -1;
    }
    return 0;
}

PyMODINIT_FUNC
PyInit__sales(void)
{
#if PY_BIG_ENDIAN
    PyErr_SetString(PyExc_ImportError, "entries and checksums are made for little-endian machines");
    return NULL;
#else
    if (setup() < 0) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError)) { /* compiled for other classes */
            PyErr_Clear();
            PyErr_SetString(PyExc_ImportError, "a class has not the fields that this twin reads");
        }
        return NULL;
    }
    return PyModule_Create(&definition);
#endif
}
