#!/usr/bin/env python3
"""Reads repositories with an independent reader.

usage: interop.py dissect|pycim records ORIGINAL REWRITTEN   compares two: every key, and the bytes of every record
       interop.py dissect|pycim objects REPOSITORY EXPORT    holds every class and instance against `cimrepo export`
       interop.py dissect|pycim time REPOSITORY              decodes all of them, and prints their number and the seconds

The readers open the files, choose the mapping, and take pages, keys and records apart. The walk from the root is done here: both
readers take child 0 of an index page for "none", as it is in dialect 2.1; in 2.2 page 0 is a page like any other.
"""
import hashlib
import sys

NONE = 0xFFFFFFFF


class Dissect:
    def __init__(self, path):
        from dissect.cim.cim import CIM

        self.cim = CIM.from_directory(path)
        self.root = self.cim.index.store.root_page.logical_num

    def node(self, number):
        page = self.cim.index.store.page(number)
        assert page.page.signature == 0xACCC, f"page {number}"
        return [str(key) for key in page.keys()], [int(child) for child in page.children()]

    def record(self, text):
        from dissect.cim.index import Key

        return self.cim.objects.get(Key(self.cim, text)).read()

    def namespaces(self):
        """By the reader's own API: names of namespaces below the root. A repository of keys and records alone has none."""
        from dissect.cim.exceptions import ReferenceNotFoundError

        try:
            return sorted({namespace.name.lower() for namespace in self.cim.root.namespaces})
        except ReferenceNotFoundError as error:
            return [f"{error}"]


class Pycim:
    def __init__(self, path):
        import logging

        import cim

        logging.disable(logging.CRITICAL)  # it tells of each record on several pages
        self.key = cim.Key
        self.cim = cim.CIM(cim.CIM_TYPE_WIN7, path)
        self.objects = self.cim.logical_data_store
        self.index = self.cim.logical_index_store
        self.root = self.index.root_page_number

    def node(self, number):
        page = self.index.get_page(number)
        assert page.is_valid, f"page {number}"
        keys = [str(page.get_key(at)) for at in range(page.key_count)]
        return keys, [page.get_child(at) for at in range(page.key_count + 1)]

    def record(self, text):
        return self.objects.get_object_buffer(self.key(text))

    def namespaces(self):
        return []


def content(reader):
    """Keys without the places of records, with a digest of the bytes; and counts."""
    found, pages, records, todo = [], 0, {}, [reader.root]
    while todo:
        keys, children = reader.node(todo.pop())
        pages += 1
        todo += [child for child in children if child != NONE]
        for key in keys:
            name, _, place = key.partition(".")
            if place and place not in records:
                bytes_ = reader.record(key)
                assert len(bytes_) == int(place.split(".")[2]), key
                records[place] = hashlib.sha256(bytes_).hexdigest()
            found.append((name, records.get(place, "")))
    found.sort()
    return found, dict(index_pages=pages, keys=len(found), records=len(records))


def compare_records(kind, original, rewritten):
    make = {"dissect": Dissect, "pycim": Pycim}[kind]
    readers = [make(original), make(rewritten)]
    (before, counts), (after, counts_after) = map(content, readers)
    same = before == after and readers[0].namespaces() == readers[1].namespaces()
    for what in ("keys", "records"):
        same = same and counts[what] == counts_after[what] > 0
    print(f"{kind}: {original}: {counts}; {rewritten}: {counts_after}: {'equal' if same else 'DIFFERENT'}")
    if not same:
        print("only before:", sorted(set(before) - set(after))[:5], "only after:", sorted(set(after) - set(before))[:5])
    return same


def main():
    kind, what, *arguments = sys.argv[1:]
    if what == "records":
        return compare_records(kind, *arguments)
    import interop_objects

    make = {"dissect": interop_objects.DissectObjects, "pycim": interop_objects.PycimObjects}[kind]
    if what == "objects":
        return interop_objects.compare(kind, make, *arguments)
    return interop_objects.time_all(make, *arguments)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
