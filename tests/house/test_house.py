"""The house rules of docs/architecture.md, as tests: floors, walls, lengths, words.

Python's standard library and `cargo metadata` only; run by scripts/test.
"""

import json
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A crate imports only from lower floors (docs/architecture.md, "Floors").
FLOORS = {
    "media-units": 0,
    "media-opus": 0,
    "media-g729": 0,
    "media-kernels": 0.5,  # kernels work on the blocks of media-units
    "engine-exchange": 0,
    "engine-control": 1,
    "media": 1,
    "mixer": 2,
    "recorder": 2,
    "signaling-sdp": 2,
    "signaling-siprec": 2,
    "engine": 3,
    "signaling": 3,
    "engine-driver": 4,
    "signaling-transport": 4,
    "recorder-ring": 3.5,  # system calls, but below who writes recordings through it
    "recorder-writer": 4,
    "recorder-shelf": 4,
    "sim": 4,
    "mixminus": 5,
    "loadtest": 5,
    "benches": 5,
    "fuzz": 6,
}
# The writer of recordings builds on the tracks it writes: same folder, one floor up.
UNSAFE_ALLOWED = {"media-kernels", "media-opus", "media-g729", "engine-driver", "recorder-ring"}
# Whole-file exceptions to the length rule, each with its reason.
LONG_FILES = {}
LINES_MAX = 600
PURE_FLOOR_MAX = 3
# What a pure crate must not name: clocks, sleep, threads, sockets, files, environment, locks.
IMPURE = re.compile(
    r"Instant::now|SystemTime|thread::(spawn|sleep)|std::fs|std::env|TcpStream|UdpSocket"
    r"|\bMutex\b|\bRwLock\b|\bCondvar\b|tracing::|println!|eprintln!|rand::"
)
BANNED_NAMES = re.compile(r"(^|[_-])(util|utils|common|helper|helpers|misc|manager)([_-]|$)")


def metadata():
    out = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps", "--offline"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout
    return {p["name"]: p for p in json.loads(out)["packages"]}


def sources(package):
    """The package's own source files, without those of crates nested in its folder."""
    folder = pathlib.Path(package["manifest_path"]).parent
    for path in folder.rglob("*.rs"):
        inner = path.parent
        while not (inner / "Cargo.toml").exists():
            inner = inner.parent
        if inner == folder and "target" not in path.relative_to(folder).parts:
            yield path


def production_text(path):
    """The file without its unit tests, its comments and its doc comments."""
    text = path.read_text()
    text = text.split("#[cfg(test)]\nmod tests")[0]
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("//"))


class House(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.packages = metadata()

    def test_every_crate_has_a_floor_and_every_floor_a_crate(self):
        self.assertEqual(set(self.packages), set(FLOORS))

    def test_a_crate_imports_only_from_lower_floors(self):
        wrong = []
        for name, package in self.packages.items():
            for dependency in package["dependencies"]:
                below = FLOORS.get(dependency["name"])
                if below is not None and dependency["kind"] is None and below >= FLOORS[name]:
                    wrong.append(f"{name} (floor {FLOORS[name]}) imports {dependency['name']} ({below})")
        self.assertEqual(wrong, [])

    def test_signaling_knows_of_the_engine_only_its_contract(self):
        forbidden = {
            "media", "mixer", "engine", "engine-driver", "recorder", "media-kernels", "media-opus",
            "media-g729",
        }
        for name in ("signaling", "signaling-sdp", "signaling-siprec", "signaling-transport"):
            named = {d["name"] for d in self.packages[name]["dependencies"] if d["kind"] is None}
            self.assertEqual(named & forbidden, set(), name)

    def test_media_and_mixer_know_nothing_of_sip(self):
        for name in ("media", "media-kernels", "media-units", "mixer", "engine", "engine-driver"):
            named = {d["name"] for d in self.packages[name]["dependencies"] if d["kind"] is None}
            self.assertEqual({n for n in named if "sip" in n or "signaling" in n}, set(), name)

    def test_pure_crates_name_no_clock_lock_log_or_system_call(self):
        wrong = []
        for name, package in self.packages.items():
            if FLOORS[name] > PURE_FLOOR_MAX:
                continue
            for path in sources(package):
                if "src" not in path.parts:
                    continue
                found = IMPURE.search(production_text(path))
                if found:
                    wrong.append(f"{path.relative_to(ROOT)}: {found.group()}")
        self.assertEqual(wrong, [])

    def test_unsafe_lives_only_where_the_design_allows_it(self):
        wrong = []
        for name, package in self.packages.items():
            if name in UNSAFE_ALLOWED:
                continue
            manifest = pathlib.Path(package["manifest_path"]).read_text()
            if "workspace = true" not in manifest.split("[lints]")[-1]:
                wrong.append(f"{name} does not take the workspace's lints")
            for path in sources(package):
                if "src" in path.parts and re.search(r"allow\(unsafe_code\)", path.read_text()):
                    wrong.append(str(path.relative_to(ROOT)))
        self.assertEqual(wrong, [])

    def test_files_have_one_idea(self):
        long = []
        for package in self.packages.values():
            for path in sources(package):
                lines = len(path.read_text().splitlines())
                name = str(path.relative_to(ROOT))
                if lines > LONG_FILES.get(name, LINES_MAX):
                    long.append(f"{name}: {lines} lines")
        self.assertEqual(long, [])

    def test_no_file_or_crate_is_named_for_nothing(self):
        wrong = [n for n in self.packages if BANNED_NAMES.search(n)]
        for package in self.packages.values():
            wrong += [str(p.relative_to(ROOT)) for p in sources(package) if BANNED_NAMES.search(p.stem)]
        self.assertEqual(wrong, [])

    def test_every_sipp_scenario_is_explained_and_run_by_a_test(self):
        folder = ROOT / "loadtest/sipp"
        explained = (folder / "README.md").read_text()
        tests = "".join(path.read_text() for path in (ROOT / "tests/e2e").glob("test_*.py"))
        names = sorted(path.stem for path in folder.glob("*.xml"))
        self.assertTrue(names)
        self.assertEqual([n for n in names if f"| `{n}`" not in explained and f", `{n}`" not in explained], [])
        self.assertEqual([n for n in names if f'"{n}"' not in tests], [])

    def test_no_test_is_switched_off(self):
        wrong = []
        for package in self.packages.values():
            for path in sources(package):
                if re.search(r"^\s*#\[ignore", path.read_text(), re.M):
                    wrong.append(str(path.relative_to(ROOT)))
        self.assertEqual(wrong, [])

    def test_every_dependency_has_its_line_of_reason(self):
        reasons = (ROOT / "docs/dependencies.md").read_text()
        missing = set()
        for package in self.packages.values():
            for dependency in package["dependencies"]:
                if dependency["name"] not in FLOORS and f"| {dependency['name']} |" not in reasons:
                    missing.add(dependency["name"])
        self.assertEqual(missing, set())

    def test_links_in_the_documentation_are_alive(self):
        dead = []
        listed = subprocess.run(
            ["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split()
        for name in listed:
            path = ROOT / name
            for target in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
                if "://" in target or target.startswith("mailto:"):
                    continue
                if not (path.parent / target).exists():
                    dead.append(f"{name} -> {target}")
        self.assertEqual(dead, [])


if __name__ == "__main__":
    unittest.main()
