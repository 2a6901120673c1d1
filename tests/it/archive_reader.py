"""Reads an archive of sitebackup. Written from docs/format.md alone: nobody trusts a store that only its own program can read.

    archive_reader.py REPOSITORY                     lists the snapshots
    archive_reader.py REPOSITORY SNAPSHOT TARGET     restores one (its id, the beginning of its id, or `latest`) into a new folder

The key: a passphrase in SITEBACKUP_PASSPHRASE, or an X25519 secret key (hex) in SITEBACKUP_IDENTITY.
It needs Python 3.11 and, from pip, PyNaCl, blake3 and zstandard. All that is read is checked; what is not known is refused.
"""
import argparse, contextlib, datetime, functools, io, json, os, pathlib, struct, sys
import nacl.bindings, nacl.exceptions, nacl.pwhash, zstandard
from blake3 import blake3
from nacl.public import PrivateKey, SealedBox

VERSION, PAGE, MIB, EXTENT, PATCH, LAST_KIND = 1, 8192, 1 << 20, 1, 2, 4
ABOUT, RECORD = "site run folder moment good", "kind path size hash modified changed inode mode owner group attributes target first"

def check(holds, otherwise):
    if not holds:
        sys.exit(f"archive_reader: {otherwise}")

def decrypt(key, number, data, associated=b""):
    return nacl.bindings.crypto_aead_chacha20poly1305_ietf_decrypt(data, associated, struct.pack("<Q4x", number), key)

def known(found, what, fields):
    check(set(found) <= set(fields.split()), f"{what} has a field that is not known among {' '.join(found)}")
    return found

def parse(data, what, fields):
    check(len(data) <= 16 * MIB, f"{what} is too large")
    found = json.loads(data)
    check(found.get("version", VERSION) <= VERSION, f"{what} is of a newer version")
    return known(found, what, fields)

def secret_of(folder):
    passphrase = os.environ.get("SITEBACKUP_PASSPHRASE", "").encode()
    identity = PrivateKey(bytes.fromhex(os.environ.get("SITEBACKUP_IDENTITY", "00" * 32)))
    for file in sorted(folder.iterdir()):
        found = parse(file.read_bytes(), file.name, "version kind holds repository label kdf recipient key")
        key, about = bytes.fromhex(found["key"]), list(map(found.get, ("kind", "holds", "repository", "label")))
        if found["holds"] == "read" and found.get("recipient") == bytes(identity.public_key).hex():
            facts, opened = "\n".join([*about, found["recipient"]]), SealedBox(identity).decrypt(key)
            check(opened[:32] == blake3(facts.encode()).digest(), f"{file.name} was altered")
            return opened[32:]
        if found["holds"] == "read" and found["kind"] == "passphrase" and passphrase:
            name, memory, passes, lanes, salt = map(found["kdf"].get, ("name", "memory_kib", "passes", "lanes", "salt"))
            check((name, lanes) == ("argon2id", 1) and memory <= 32768 and passes <= 32, f"{file.name} asks for too much")
            under = nacl.pwhash.argon2id.kdf(32, passphrase, bytes.fromhex(salt), passes, memory * 1024)
            with contextlib.suppress(nacl.exceptions.CryptoError):  # It may be under another passphrase.
                return decrypt(under, 0, key, "\n".join(map(str, [*about, name, memory, passes, lanes, salt])).encode())
    check(False, "no key file opens with what the environment gives")

class Repository:
    def __init__(self, path, secret):
        config = parse((path / "config").read_bytes(), "config", "format version id")
        check(config["format"] == "sitebackup-archive", "this is not a repository")
        self.path, self.secret, self.whole, self.patches = path, SealedBox(PrivateKey(secret)), [], []
        self.id_key = blake3(secret, derive_key_context="sitebackup archive v1 dedup").digest()
        self.index_key = blake3(secret, derive_key_context="sitebackup archive v1 index").digest()

    def open(self, file, magic):
        """The bytes of a pack or a snapshot, and the key that is sealed in it."""
        data = file.read_bytes()
        check(blake3(data).hexdigest() == file.name, f"{file} is damaged")
        check(data[:8] == magic + bytes([VERSION, 0]), f"{file} is of a newer version, or something else")
        return data, self.secret.decrypt(data[8:88])

    def snapshots(self):
        """All snapshots by their ids, the oldest moment first."""
        found, fields = {}, "about stored entries bytes added records"
        for file in (self.path / "snapshots").iterdir():
            data, key = self.open(file, b"sbsnap")
            found[file.name] = parse(decrypt(key, 0, data[88:], data[:88]), file.name, fields)
            known(found[file.name]["about"], file.name, ABOUT)
        return dict(sorted(found.items(), key=lambda item: [datetime.datetime.fromisoformat(time) for time in (item[1]["about"]["moment"], item[1]["stored"])]))

    def read_indexes(self):
        for file in sorted(self.path.glob("packs/*/*")):
            data, key = self.open(file, b"sbpack")
            at = len(data) - 4 - struct.unpack("<I", data[-4:])[0]
            check(file.parent.name == file.name[:2] and 88 <= at <= len(data) <= at + 64 * MIB, f"{file} is no pack of ours")
            index = decrypt(blake3(data[8:88], key=self.index_key).digest(), 0, data[at:-4], data[:88])
            self.read_index(file, key, io.BytesIO(index), at)
        whole = dict(self.whole)  # Taken before any patch, for a base is never one; of two patches one may have lost its base.
        self.chunks = {id: place for id, place in self.patches if place[3] in whole} | whole

    def read_index(self, file, key, index, end):
        fields = lambda layout: struct.unpack(layout, index.read(struct.calcsize(layout)))
        offset = 88
        for number in range(*fields("<I")):
            stored, size, packing = fields("<IIB")
            check(max(stored, size) <= 16 * MIB and packing <= 1, f"{file} has a frame that is not known")
            frame = (file, key, number, offset, stored, size, packing)
            offset, start = offset + stored, 0
            for _ in range(*fields("<I")):
                kind, id, length = fields("<B32sI")
                check(kind <= LAST_KIND, f"{file} has a chunk of a kind that is not known")
                fields("<8Q" if kind == EXTENT else "")  # The digests: only those who store use them.
                base, pages = fields("<32sB") if kind == PATCH else (None, 0)
                (self.patches if kind == PATCH else self.whole).append((id, (frame, start, length, base, pages)))
                start += length
            check(start == size, f"{file} has a frame that is not what its chunks are")
        check(offset == end and not index.read(), f"{file} has more than its index tells")

    @functools.lru_cache(maxsize=32)
    def frame(self, file, key, number, offset, stored, size, packing):
        with file.open("rb") as pack:
            pack.seek(offset)
            data = decrypt(key, number, pack.read(stored))
        data = zstandard.ZstdDecompressor().decompress(data, max_output_size=size) if packing else data
        check(len(data) == size, f"{file} has a frame of another length")
        return data

    def chunk(self, id):
        check(id in self.chunks, f"chunk {id.hex()} is missing")
        frame, start, length, base, pages = self.chunks[id]
        data = self.frame(*frame)[start:start + length]
        if base:
            given, data = data, bytearray(self.chunk(base))
            for page in [page for page in range(8) if pages & 1 << page]:
                data[page * PAGE:(page + 1) * PAGE], given = given[:PAGE], given[PAGE:]
        check(blake3(data, key=self.id_key).digest() == id, f"chunk {id.hex()} is damaged")
        return data

    def pieces(self, level, entries):
        """The bytes of a content in order; `entries` are those of JSON, or of a list."""
        check(level <= 8, "a content has too many levels")
        for length, id in entries:
            check(length > 0, "a content has an entry of no bytes")
            id = id if isinstance(id, bytes) else bytes.fromhex(id or "")
            if not any(id):
                yield from (bytes(min(MIB, length - at)) for at in range(0, length, MIB))  # A hole.
                continue
            chunk = self.chunk(id)
            below = list(struct.iter_unpack("<Q32s", chunk)) if level else [(len(chunk), id)]
            check(sum(size for size, _ in below) == length, f"{id.hex()} has another length")
            yield from self.pieces(level - 1, below) if level else [chunk]

    def restore(self, snapshot, target):
        self.read_indexes()
        folders, rest = {}, b""
        for piece in self.pieces(**snapshot["records"]):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self.restore_record(target, folders, **parse(line, "a record", "record content"))
        check(rest == b"", "the last record is not whole")
        for place, record in reversed(folders.values()):
            give_back(place, record)

    def restore_record(self, target, folders, record, content=None):
        kind, path = known(record, "a record", RECORD)["kind"], raw(record["path"])
        place = place_of(path, target, folders)
        if kind == "directory":
            os.mkdir(place, 0o700)
            folders[path] = place, record  # Mode and time come last: what is made in it needs the one and changes the other.
        elif kind == "hard-link":
            os.link(place_of(raw(record["first"]), target, folders), place, follow_symlinks=False)
        elif kind == "symlink":
            os.symlink(raw(record["target"]), place)
            give_back(place, record)
        else:
            check(kind in ("file", "database", "registry", "made"), f"{path} is of a kind that is not known")
            hash = blake3()
            with open(place, "xb") as file:
                for piece in self.pieces(**content) if content else ():
                    hash.update(piece)
                    file.write(piece) if any(piece) else file.seek(len(piece), os.SEEK_CUR)
                size = file.truncate()
            check((size, hash.hexdigest()) == (record["size"], record["hash"]), f"{place} is not what was stored")
            give_back(place, record)

def raw(text):
    return bytes.fromhex(text["hex"]) if isinstance(text, dict) else text.encode()

def place_of(path, target, folders):  # In a folder that was made here: neither `..` nor a link leads out of the target.
    parent, _, name = path.rpartition(b"/")
    check(parent in folders and name not in (b"", b".", b"..") or path == b"" and not folders, f"{path} leads elsewhere")
    return os.path.join(target, path)

def give_back(place, record):  # Each after what would change it.
    if os.geteuid() == 0:
        os.chown(place, record["owner"], record["group"], follow_symlinks=False)
    for name, value in record.get("attributes", ()):
        os.setxattr(place, bytes.fromhex(name), bytes.fromhex(value), follow_symlinks=False)
    if record["kind"] != "symlink":
        os.chmod(place, record["mode"])
    time = record["modified"][0] * 10**9 + record["modified"][1]
    os.utime(place, ns=(time, time), follow_symlinks=False)

if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("repository", type=pathlib.Path)
    [arguments.add_argument(name, nargs="?") for name in ("snapshot", "target")]
    given = arguments.parse_args()
    repository = Repository(given.repository, secret_of(given.repository / "keys"))
    snapshots = repository.snapshots()
    if given.target:
        ids = list(snapshots)[-1:] if given.snapshot == "latest" else [id for id in snapshots if id.startswith(given.snapshot)]
        check(len(ids) == 1, f"{len(ids)} snapshots are called {given.snapshot}")
        repository.restore(snapshots[ids[0]], os.fsencode(given.target))
    for id, told in snapshots.items() if not given.target else ():
        print(id, *map(told["about"].get, ("moment", "site", "folder")), f"{told['entries']} entries, {told['bytes']} bytes")
