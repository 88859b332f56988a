"""What `loadtest soak` refuses to do. The soak itself is soak.py, which runs beside all tests."""

import unittest

from server import Server
from soak import soak


class Refused(unittest.TestCase):
    def test_what_cannot_be_soaked_is_a_clear_error(self):
        with Server() as server:
            for options, pid, why in [
                (["--api", "http://127.0.0.1:9"], None, "API does not answer"),
                ([], 2 ** 22 + 1, "no such process"),
                (["--churn", "0"], None, "--churn"),
                (["--search"], None, "--search"),
            ]:
                code, said, report = soak(server, *options, pid=pid)
                self.assertEqual((code, report), (2, None), said)
                self.assertIn(why, said)


if __name__ == "__main__":
    unittest.main()
