"""Classes and instances, decoded by independent readers and held against what `cimrepo export` prints of the same repository.

The readers decode; which records there are is found by the walk of `interop.py`, and superclasses are looked up in what it found.
"""
import collections
import hashlib
import json
import time

import interop

SYSTEM = "__SystemClass"
# Types by their number. python-cim knows neither the ones that it lacks here nor their sizes.
TYPES = {
    0x02: "sint16", 0x03: "sint32", 0x04: "real32", 0x05: "real64", 0x08: "string", 0x0B: "boolean", 0x0D: "object",
    0x10: "sint8", 0x11: "uint8", 0x12: "uint16", 0x13: "uint32", 0x14: "sint64", 0x15: "uint64", 0x65: "datetime",
    0x66: "reference", 0x67: "char16",
}  # fmt: skip
ARRAY, DECLARED_ANEW = 0x20, 0x40
TEXTS = ("string", "datetime", "reference")


def hash_of(name):
    return hashlib.sha256(name.upper().encode("utf-16-le")).hexdigest().upper()


class Objects:
    """The records of classes and instances, by the hashes in their keys; and a cache of classes that are decoded."""

    def __init__(self, reader):
        self.reader, self.classes, self.instances, self.known = reader, {}, [], {}
        todo, seen = [reader.root], 0
        while todo:
            keys, children = reader.node(todo.pop())
            todo += [child for child in children if child != interop.NONE]
            for key in keys:
                parts = [part.split("_", 1) for part in key.partition(".")[0].replace("\\", "/").split("/")]
                shape = [kind for kind, _ in parts]
                if shape == ["NS", "CD"]:
                    self.classes[parts[0][1], parts[1][1]] = key
                elif shape == ["NS", "CI", "IL"]:
                    self.instances.append((parts[0][1], parts[1][1], parts[2][1], key))

    def class_of(self, namespace, hashed):
        """The class of this hash, of the namespace or of the system."""
        if (namespace, hashed) not in self.known:
            key = self.classes.get((namespace, hashed)) or self.classes[hash_of(SYSTEM), hashed]
            self.known[namespace, hashed] = self.decode_class(namespace, self.reader.record(key))
        return self.known[namespace, hashed]


class Scope:
    """Stands for a namespace: where a reader looks for a superclass."""

    def __init__(self, objects, namespace):
        self.objects, self.name, self.name_hash = objects, "", namespace

    def class_(self, name):
        return self.objects.class_of(self.name_hash, hash_of(name))

    def get_cl(self, _, name):
        return self.class_(name)


class DissectObjects(Objects):
    def __init__(self, path):
        super().__init__(interop.Dissect(path))

    def decode_class(self, namespace, record):
        from io import BytesIO

        from dissect.cim.cim import Class
        from dissect.cim.classes import ClassDefinition

        return Class(self.reader.cim, Scope(self, namespace), ClassDefinition(self.reader.cim, BytesIO(record)))

    def decode_instance(self, class_, record):
        from io import BytesIO

        from dissect.cim.classes import ClassInstance

        return ClassInstance(self.reader.cim, class_, BytesIO(record))

    def definition(self, class_):
        return class_.class_definition

    def type_of(self, prop):
        return TYPES[prop.type.type.value], prop.type.array_state.value == ARRAY

    def plain(self, value, prop, data):
        """A value as JSON has it. Of texts in arrays the reader gives the places, which its own `get_string` takes."""
        scalar, is_array = self.type_of(prop)
        if is_array:
            return [data.get_string(item) if scalar in TEXTS else self.item(item, scalar) for item in value]
        return self.item(value, scalar)

    def item(self, value, scalar):
        if scalar == "boolean":
            return bool(value if isinstance(value, bool) else value.value)
        if scalar in TEXTS:
            return str(value)
        return float(value) if scalar.startswith("real") else int(value)

    def default_data(self, class_, prop):
        """The heap that the default is in: that of the class nearest by that has one of its own."""
        for above in reversed(class_.derivation):
            if not above.property_default_values.state[prop.index].is_inherited:
                return above.class_definition.property_data

    def data(self, instance):
        return instance.data


class PycimObjects(Objects):
    def __init__(self, path):
        super().__init__(interop.Pycim(path))

    def decode_class(self, namespace, record):
        from cim.objects import ClassDefinition, ClassLayout

        definition = ClassDefinition()
        definition.vsParse(record)
        return ClassLayout(Scope(self, namespace), "", definition)

    def decode_instance(self, class_, record):
        import cim
        from cim.objects import ClassInstance

        instance = ClassInstance(cim.CIM_TYPE_WIN7, class_)
        instance.vsParse(record)
        return instance

    def definition(self, class_):
        return class_.class_definition

    def type_of(self, prop):
        return TYPES[int(prop.type.type)], bool(prop.type.is_array)

    def plain(self, value, prop, data):
        scalar, is_array = self.type_of(prop)
        return [self.item(item, scalar) for item in value] if is_array else self.item(value, scalar)

    def item(self, value, scalar):
        if scalar == "boolean":
            return bool(value)
        if scalar in TEXTS:
            return str(value)
        return float(value) if scalar.startswith("real") else int(value)

    def default_data(self, class_, prop):
        return None

    def data(self, instance):
        return None


def read_class(objects, class_):
    """Name, superclass, and of each property whether it is declared here, its type and its default."""
    definition = objects.definition(class_)
    own = {name.lower() for name in definition.properties}
    properties = {}
    for name, prop in class_.properties.items():
        has_default = prop.has_default_value
        value = objects.plain(prop.default_value, prop, objects.default_data(class_, prop)) if has_default else None
        properties[name.lower()] = (name.lower() in own, *objects.type_of(prop), value)
    return definition.class_name, definition.super_class_name or None, properties


def read_instance(objects, class_, instance):
    """The class, and the value of each property, the default of the class where the instance has none."""
    values = {}
    for name, prop in instance.properties.items():
        value = prop.value if prop.is_initialized else None
        if value is None:
            values[name.lower()] = None
        elif prop.is_default_value:
            values[name.lower()] = objects.plain(value, prop, objects.default_data(class_, prop))
        else:
            values[name.lower()] = objects.plain(value, prop, objects.data(instance))
    return objects.definition(class_).class_name, values


def is_true(qualifiers, name):
    return any(qualifier["name"].lower() == name and qualifier["value"] is True for qualifier in qualifiers)


def key_of(values, keys):
    """The hash of the key of an instance, as the index has it: `docs::objects`, "Keys"."""
    return hash_of("\uffff".join(str(values[name]) for name in sorted(keys)) if keys else "@")


def expected(export):
    """What `cimrepo export` says, in the same form: classes, and instances with their types, by the hashes in their keys."""
    classes, instances, keys = {}, {}, {}
    with open(export, encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["kind"] == "class":
                place, properties = (hash_of(row["namespace"]), hash_of(row["name"])), {}
                for prop in row["properties"]:
                    properties[prop["name"].lower()] = (prop["local"], prop["type"], prop["array"], prop["default"])
                classes[place] = (row["name"], row["superclass"], properties)
                keys[place] = [prop["name"].lower() for prop in row["properties"] if is_true(prop["qualifiers"], "key")]
            elif row["kind"] == "instance":
                namespace, name = hash_of(row["namespace"]), hash_of(row["class"])
                place = (namespace, name) if (namespace, name) in classes else (hash_of(SYSTEM), name)
                values = {name.lower(): value for name, value in row["properties"].items()}
                types = [(classes[place][2][name][1], value) for name, value in values.items()]
                instance = (row["class"], values), types, "property_qualifiers" in row
                instances[namespace, name, key_of(values, keys[place])] = instance
    return classes, instances


def scalars(values):
    for value in values:
        yield from value if isinstance(value, list) else [value]


def of_type(types, *names):
    return [value for scalar, value in types if scalar in names]


def anew(class_):
    """Whether a property is an array and declared anew: the byte that says so then has another bit beside."""
    states = [prop.type.array_state for prop in class_.properties.values()]
    return any(int(getattr(state, "value", state)) == ARRAY | DECLARED_ANEW for state in states)


def by_number(class_):
    """Whether the name of a property is a number of the dictionary."""
    return any(prop._prop._propref.is_builtin_property for prop in class_.properties.values())


# What the readers get wrong: how, and whether it can be why an object of this class is not the same. `types` are pairs of a type
# and a value of that type; `dynamic` says whether properties of the instance have qualifiers.
BY_BOTH = [
    ("an array that is declared anew is taken for a scalar", lambda class_, types, dynamic: anew(class_)),
    ("a name that is in the dictionary is given another one", lambda class_, types, dynamic: by_number(class_)),
    ("qualifiers of an instance's properties are taken for values", lambda class_, types, dynamic: dynamic),
]
FAULTS = {
    "dissect": BY_BOTH + [
        (
            "values of the types object, real32, real64 and char16 are not read",
            lambda class_, types, dynamic: any(
                value is not None for value in of_type(types, "object", "real32", "real64", "char16")
            ),
        ),
    ],
    "pycim": BY_BOTH + [
        (
            "the types sint8, sint16, sint64, real64 and char16 are not known",
            lambda class_, types, dynamic: of_type(types, "sint8", "sint16", "sint64", "real64", "char16") != [],
        ),
        (
            "values of the type object are not read",
            lambda class_, types, dynamic: any(value is not None for value in of_type(types, "object")),
        ),
        (
            "a sint32 below 0 is taken for a large number",
            lambda class_, types, dynamic: any((item or 0) < 0 for item in scalars(of_type(types, "sint32"))),
        ),
        (
            "text beyond ASCII is taken for UTF-8",
            lambda class_, types, dynamic: any(
                item is not None and not item.isascii() for item in scalars(of_type(types, *TEXTS))
            ),
        ),
        (
            "a boolean that is FALSE is taken for TRUE",
            lambda class_, types, dynamic: False in scalars(of_type(types, "boolean")),
        ),
    ],
}  # fmt: skip


class Tally:
    """How many objects are the same; of those that are not, why; and those that nothing explains."""

    def __init__(self, kind):
        self.faults, self.same, self.known, self.different = FAULTS[kind], 0, collections.Counter(), []

    def add(self, wanted, read, class_, types, dynamic=False):
        try:
            found = read()
        except Exception as error:  # whatever a reader fails with is the outcome
            found = repr(error)
        if found == wanted:
            self.same += 1
            return
        reason = next((reason for reason, is_so in self.faults if is_so(class_, types, dynamic)), None)
        if reason:
            self.known[reason] += 1
        else:
            self.different.append((found, wanted))

    def show(self, what):
        known, different = sum(self.known.values()), len(self.different)
        print(f"    {what}: {self.same} the same, {known} that the reader is known to read wrongly, {different} DIFFERENT")
        for reason, count in self.known.most_common():
            print(f"        {count}: {reason}")
        for found, wanted in self.different[:5]:
            print(f"        found:    {found}\n        expected: {wanted}")


def compare(kind, make, repository, export):
    """Holds every class and every instance that the walk finds against the export; no fewer and no more may be there."""
    objects, (classes, instances), tallies = make(repository), expected(export), (Tally(kind), Tally(kind))
    places = {place[:3]: place[3] for place in objects.instances}
    complete = objects.classes.keys() == classes.keys() and places.keys() == instances.keys()
    print(f"{kind}: {repository}: {'all objects' if complete else 'OTHER OBJECTS than those'} of the export")
    if not complete:
        return False
    for place, wanted in classes.items():
        class_ = objects.class_of(*place)
        types = [(scalar, value) for _, scalar, _, value in wanted[2].values()]
        tallies[0].add(wanted, lambda: read_class(objects, class_), class_, types)
    for place, (wanted, types, dynamic) in instances.items():
        class_, record = objects.class_of(*place[:2]), objects.reader.record(places[place])
        read = lambda: read_instance(objects, class_, objects.decode_instance(class_, record))
        tallies[1].add(wanted, read, class_, types, dynamic)
    for tally, what in zip(tallies, ("classes", "instances")):
        tally.show(what)
    return not any(tally.different or tally.same == 0 for tally in tallies)


def time_all(make, repository):
    """Processor time from opening the files to the last value; what a reader fails with costs what it costs."""
    start, failed = time.process_time(), 0
    objects = make(repository)
    for place in objects.classes:
        try:
            read_class(objects, objects.class_of(*place))
        except Exception:
            failed += 1
    for namespace, name, _, key in objects.instances:
        try:
            class_ = objects.class_of(namespace, name)
            read_instance(objects, class_, objects.decode_instance(class_, objects.reader.record(key)))
        except Exception:
            failed += 1
    seconds = time.process_time() - start
    print(json.dumps({"objects": len(objects.classes) + len(objects.instances), "failed": failed, "seconds": seconds}))
    return True
