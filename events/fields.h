/* Fields of our structs, read where they lie.
 *
 * A field of a msgspec struct, as of any class with __slots__, is a pointer at a fixed place in the
 * object, and the class says where by its member descriptor. Who reads it there must have seen that
 * the object is of exactly that class.
 */
#ifndef TILLWATCH_FIELDS_H
#define TILLWATCH_FIELDS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

/* The field at `offset`, borrowed; NULL where it was never set. */
static inline PyObject *
field_at(PyObject *object, Py_ssize_t offset)
{
    return *(PyObject **)((char *)object + offset);
}

/* Put `value`, whose reference is taken over, at `offset`: only plain values of structs that are
 * not frozen, for nobody is asked. */
static inline void
set_field_at(PyObject *object, Py_ssize_t offset, PyObject *value)
{
    PyObject **place = (PyObject **)((char *)object + offset);
    PyObject *old = *place;
    *place = value;
    Py_XDECREF(old);
}

/* `object.name`, a new reference; where it has none, an ImportError: this was compiled for another
 * version of it, and Python does the work instead. */
static inline PyObject *
attribute(PyObject *object, const char *name)
{
    PyObject *found = PyObject_GetAttrString(object, name);
    if (found == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Format(PyExc_ImportError, "there is no %s: compiled for another version", name);
    }
    return found;
}

/* `name` of `module`, a new reference; NULL with an exception on failure. */
static inline PyObject *
attribute_of(const char *module, const char *name)
{
    PyObject *imported = PyImport_ImportModule(module);
    PyObject *found = imported == NULL ? NULL : attribute(imported, name);
    Py_XDECREF(imported);
    return found;
}

/* Where the field `name` lies in objects of `type`; -1 with an exception if it has none such. */
static inline Py_ssize_t
field_offset(PyTypeObject *type, const char *name)
{
    PyObject *member = attribute((PyObject *)type, name);
    if (member == NULL) {
        return -1;
    }
    Py_ssize_t offset = -1;
    if (Py_TYPE(member) == &PyMemberDescr_Type &&
        ((PyMemberDescrObject *)member)->d_member->type == T_OBJECT_EX) {
        offset = ((PyMemberDescrObject *)member)->d_member->offset;
    }
    else {
        PyErr_Format(PyExc_ImportError, "%s.%s is no slot", type->tp_name, name);
    }
    Py_DECREF(member);
    return offset;
}

/* The offsets of `count` fields of `type`, in the order of `names`; -1 with an exception on failure. */
static inline int
field_offsets(PyTypeObject *type, const char *const *names, int count, Py_ssize_t *offsets)
{
    for (int i = 0; i < count; i++) {
        offsets[i] = field_offset(type, names[i]);
        if (offsets[i] < 0) {
            return -1;
        }
    }
    return 0;
}

/* The class `name` of `module`, a new reference; NULL with an exception on failure. */
static inline PyTypeObject *
class_of(const char *module, const char *name)
{
    PyObject *type = attribute_of(module, name);
    if (type != NULL && !PyType_Check(type)) {
        PyErr_Format(PyExc_ImportError, "%s.%s is no class", module, name);
        Py_CLEAR(type);
    }
    return (PyTypeObject *)type;
}

#endif
