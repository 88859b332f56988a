"""The gate by instructions judges as it says (benches/gate; scripts/test runs the gate itself)."""

import importlib.machinery
import importlib.util
import pathlib
import unittest

PATH = pathlib.Path(__file__).resolve().parents[2] / "benches/gate"
loader = importlib.machinery.SourceFileLoader("gate", str(PATH))
gate = importlib.util.module_from_spec(importlib.util.spec_from_loader("gate", loader))
loader.exec_module(gate)


class Gate(unittest.TestCase):
    def test_a_crowd_a_tenth_dearer_fails_and_a_hundredth_passes(self):
        self.assertEqual(gate.judge({"a": 1000}, {"a": 1100}, gate.TOLERANCE), {"a": "10.0 % dearer"})
        self.assertEqual(gate.judge({"a": 1000}, {"a": 1010}, gate.TOLERANCE), {})
        self.assertEqual(gate.judge({"a": 1000}, {"a": 500}, gate.TOLERANCE), {})

    def test_a_crowd_that_is_not_counted_or_has_no_baseline_fails(self):
        self.assertEqual(set(gate.judge({"a": 1}, {"b": 1}, gate.TOLERANCE)), {"a", "b"})


if __name__ == "__main__":
    unittest.main()
