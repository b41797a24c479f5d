/* The twin of Forest._way in anomaly/forest.py: one walk down all trees.
 *
 * The lists are the forest's own and of one length; values are floats or None. Anything else is an
 * error here, not something to hand back: nobody but the forest calls this.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define FEATURES_MAX 64

typedef struct {
    PyObject **features, **thresholds, **learnt, **weights;
    double values[FEATURES_MAX];
    char known[FEATURES_MAX];
    Py_ssize_t count, values_count;
} Walk;

/* Read the refund's values; 0, or -1 with an exception. */
static int
read_values(Walk *walk, PyObject *values)
{
    walk->values_count = PyList_GET_SIZE(values);
    if (walk->values_count > FEATURES_MAX) {
        PyErr_SetString(PyExc_ValueError, "more features than a forest has");
        return -1;
    }
    for (Py_ssize_t i = 0; i < walk->values_count; i++) {
        PyObject *value = PyList_GET_ITEM(values, i);
        walk->known[i] = value != Py_None;
        walk->values[i] = 0.0;
        if (walk->known[i]) {
            walk->values[i] = PyFloat_AsDouble(value);
            if (walk->values[i] == -1.0 && PyErr_Occurred()) {
                return -1;
            }
        }
    }
    return 0;
}

/* Count one refund at the node `place`; 0, or -1 with an exception. */
static int
count_at(Walk *walk, Py_ssize_t place)
{
    long seen = PyLong_AsLong(walk->learnt[place]);
    if (seen == -1 && PyErr_Occurred()) {
        return -1;
    }
    PyObject *more = PyLong_FromLong(seen + 1);
    if (more == NULL) {
        return -1;
    }
    PyObject *before = walk->learnt[place];
    walk->learnt[place] = more;
    Py_DECREF(before);
    return 0;
}

/* The child of `place`, whose subtrees have `step` nodes between them; -1 with an exception. */
static Py_ssize_t
child_of(Walk *walk, Py_ssize_t place, Py_ssize_t step)
{
    long feature = PyLong_AsLong(walk->features[place]);
    double threshold = PyFloat_AsDouble(walk->thresholds[place]);
    if (PyErr_Occurred()) {
        return -1;
    }
    if (feature < 0 || feature >= walk->values_count) {
        PyErr_SetString(PyExc_IndexError, "a node asks for a feature that there is not");
        return -1;
    }
    if (walk->known[feature]) {
        return place + (walk->values[feature] < threshold ? 1 : step);
    }
    long left = PyLong_AsLong(walk->learnt[place + 1]);
    long right = PyLong_AsLong(walk->learnt[place + step]);
    if (PyErr_Occurred()) {
        return -1;
    }
    return place + (left < right ? step : 1);
}

/* Go down the tree at `place`; the weight of the leaf, or -1 with an exception. */
static long
down(Walk *walk, Py_ssize_t place, int height)
{
    for (int depth = height; depth > 0; depth--) {
        if (count_at(walk, place) < 0) {
            return -1;
        }
        place = child_of(walk, place, (Py_ssize_t)1 << depth);
        if (place < 0) {
            return -1;
        }
    }
    return count_at(walk, place) < 0 ? -1 : PyLong_AsLong(walk->weights[place]);
}

PyDoc_STRVAR(way_doc, "way(values, features, thresholds, learnt, weights, height)\n--\n\n"
                      "Count a refund on its way down every tree; the weights of its leaves, added.");

static PyObject *
way(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *values, *lists[4];
    Walk walk;
    int height;
    if (!PyArg_ParseTuple(args, "O!O!O!O!O!i", &PyList_Type, &values, &PyList_Type, &lists[0],
                          &PyList_Type, &lists[1], &PyList_Type, &lists[2], &PyList_Type,
                          &lists[3], &height)) {
        return NULL;
    }
    walk.count = PyList_GET_SIZE(lists[0]);
    Py_ssize_t tree = height > 0 && height < 24 ? ((Py_ssize_t)2 << height) - 1 : 0;
    int same = 1;
    for (int i = 1; i < 4; i++) {
        same = same && PyList_GET_SIZE(lists[i]) == walk.count;
    }
    if (!same || tree == 0 || walk.count % tree != 0) {
        PyErr_SetString(PyExc_ValueError, "lists of other lengths than trees of this height have");
        return NULL;
    }
    walk.features = ((PyListObject *)lists[0])->ob_item;
    walk.thresholds = ((PyListObject *)lists[1])->ob_item;
    walk.learnt = ((PyListObject *)lists[2])->ob_item;
    walk.weights = ((PyListObject *)lists[3])->ob_item;
    if (read_values(&walk, values) < 0) {
        return NULL;
    }
    long weight = 0;
    for (Py_ssize_t root = 0; root < walk.count; root += tree) {
        long found = down(&walk, root, height);
        if (found < 0) {
            if (!PyErr_Occurred()) {
                PyErr_SetString(PyExc_ValueError, "a leaf of negative weight");
            }
            return NULL;
        }
        weight += found;
    }
    return PyLong_FromLong(weight);
}

static PyMethodDef methods[] = {{"way", way, METH_VARARGS, way_doc}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "anomaly._forest", "The twin of anomaly/forest.py's walk.", -1, methods,
    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit__forest(void)
{
    return PyModule_Create(&module);
}
