"""The arithmetic between the runs and the page, on figures made up here."""

import sys
import unittest

sys.dont_write_bytecode = True
from answer import Answer, listed, plain  # noqa: E402
from figures import summaries  # noqa: E402
from parts import OBSERVED, WAYS, Failed, parameters  # noqa: E402
from quick import judged  # noqa: E402
from run import Run, throughput  # noqa: E402

VALUES = {**parameters(), "unit": "10", "goal": "2000ms", "maxconn": "4", "watts.server": "100", "watts.board": "0.5"}


def step(users, pages, goal_ms, fine=True):
    return {"users": users, "seconds": 10.0, "fine": fine, "pages": pages, "hits": pages * 3 // 4, "misses": pages // 4, "errors": 0,
            "median_ms": goal_ms // 2, "goal_ms": goal_ms}


def result(way, servers, rate):
    return {"way": way, "servers": servers, "steps": [step(10, 100, 1000)], "at_goal": {"pages_per_s": 10 * rate, "hits_percent": 90, "calls_per_s": 1,
                                                          "users": 10},
            "whole": {"pages": 100, "users": 10, "pairs": 10, "errors": 0}, "balancer_cpu_s": 1,
            "each": [{"most_in_flight": 3}] * servers}


def answer(**rates):
    results = {way: {count: [result(way, count, rate)] for count, rate in by_count.items()} for way, by_count in rates.items()}
    return Answer(summaries(results, VALUES), VALUES)


class Crossing(unittest.TestCase):
    def test_the_load_at_the_goal_is_between_the_last_good_step_and_the_next(self):
        steps = [step(10, 100, 500, fine=False), step(20, 200, 1000), step(30, 300, 1500), step(40, 340, 2500)]
        found = throughput({"way": "both", "servers": 1, "steps": steps}, VALUES)
        self.assertEqual((found["pages_per_s"], found["users"], found["calls_per_s"]), (32.0, 35.0, 8.0))

    def test_a_step_that_was_bad_by_chance_is_not_the_end(self):
        steps = [step(20, 200, 1000), step(22, 210, 2100), step(24, 240, 1900), step(26, 250, 2100), step(28, 250, 2200)]
        self.assertEqual(throughput({"way": "both", "servers": 1, "steps": steps}, VALUES)["users"], 25.0)

    def test_without_a_crossing_there_is_no_figure(self):
        for steps in ([step(20, 200, 1000)], [step(20, 200, 3000), step(22, 200, 3000)], []):
            with self.assertRaises(Failed):
                throughput({"way": "both", "servers": 1, "steps": steps}, VALUES)


class Servers(unittest.TestCase):
    def test_how_many_do_the_same(self):
        found = answer(random={1: 0.8, 4: 2.8, 20: 10.0}, both={1: 1.0, 10: 10.0, 20: 20.0})
        self.assertEqual([(row[0], row[2]) for row in found.same_work()], [(1, 1), (4, 3), (20, 10)])
        self.assertEqual(found.same_work()[2][3:], (2000.0, 1000.5))
        self.assertEqual(found.at("both", 15), 15.0)
        self.assertIsNone(found.at("both", 21))
        self.assertIsNone(found.enough("both", 20.5))

    def test_it_pays_from_where_it_does_from_then_on(self):
        linear = {count: float(count) for count in (1, 40)}
        curve = {count: OBSERVED(count) for count in (1, 2, 3, 4, 5, 10, 20, 30, 40)}
        found = answer(random=curve, both=linear)
        # 4 do 2.80: three of ours; 6 do 4.00, between what 5 and 10 do: four, and one balances; 7 do 4.56: five, and one.
        self.assertEqual((found.pays_from(0), found.pays_from(1)), (4, 6))
        self.assertIsNone(answer(random={1: 1.0}, both={1: 1.0}).pays_from(1))

    def test_words_and_tables_hold_what_was_measured_and_no_more(self):
        self.assertEqual(answer().sentences(), ["Not measured yet."])
        found = answer(random={10: 6.0, 20: 10.0}, both={10: 9.0, 20: 18.0})
        self.assertIn("10 % less", found.sentences()[0])
        self.assertIn("1.80 times", found.sentences()[1])
        found.figures["both"][10]["each"] = [92, 88.04, 91]
        self.assertIn("serve 9.00 (8.80 to 9.20 in 3 runs), twenty scattered ones 10.00: 10 % less", found.sentences()[0])
        self.assertEqual(len({len(line) for line in plain(found.throughput())}), 1)
        self.assertIn("Not measured whole in this run: scattered,", found.section())


    def test_what_is_kept_of_earlier_runs_is_told_apart(self):
        found = answer(random={10: 6.0, 20: 10.0}, haproxy={10: 6.0, 20: 9.0})
        self.assertNotIn("earlier", found.users_line())
        self.assertIn("| 10 | 1.00 | 1.00 |", found.cpu())
        for of in (found.figures["random"][10], found.figures["haproxy"][10]):
            del of["counted"], of["cpu_us"]
            of["cpu_part"] = 0.5
        self.assertIn("not among the counts above: scattered with 10 servers; scattered by HAProxy with 10 servers.", found.users_line())
        self.assertTrue(found.users_line().startswith("2 runs, 200 pages"))
        self.assertIn("| 10 | 0.50 | 0.50 |", found.cpu())
        # Of the one only what it took, of the other only its part: nothing to compare.
        found.figures["random"][20].pop("cpu_us")
        self.assertIn("| 20 |  | 1.00 |", found.cpu())
        self.assertEqual((listed([1]), listed([2, 3, 40])), ("1 server", "2, 3 and 40 servers"))


class Exactness(unittest.TestCase):
    def counted(self, way, **changes):
        counts = {"users": 10, "pairs": 10, "misses": 10, "calls": 10, "pages": 30, "hits": 20, "requests": 30, "errors": 0, "most": 4}
        counts |= changes
        return {"whole": {key: counts[key] for key in ("users", "pairs", "pages", "errors")}, "database": {"calls": counts["calls"]},
                "each": [{"misses": counts["misses"], "hits": counts["hits"], "requests": counts["requests"],
                          "most_in_flight": counts["most"]}]}, Run(WAYS[way], 1, 1, [], {}, VALUES)

    def test_what_fits_passes(self):
        for way, changes in (("both", {}), ("random", {"most": 40}), ("random", {"pairs": 12, "misses": 12, "calls": 12, "hits": 18}),
                             ("wait", {"pairs": 12, "misses": 12, "calls": 12, "hits": 18})):
            found, run = self.counted(way, **changes)
            run.check(found)

    def test_what_does_not_fit_does_not(self):
        for way, changes in (("both", {"misses": 11, "hits": 19}), ("both", {"calls": 11}), ("both", {"most": 5}), ("both", {"errors": 1}),
                             ("affinity", {"users": 9}), ("both", {"requests": 31}), ("random", {"pairs": 9})):
            found, run = self.counted(way, **changes)
            with self.assertRaises(Failed, msg=str(changes)):
                run.check(found)


class Quick(unittest.TestCase):
    def found(self, **changes):
        """As it came out where all four servers were full all the time; name: (pages, hits, misses, users, pairs, most in flight)."""
        counts = {"random": (514, 200, 314, 202, 542, 44), "affinity": (797, 741, 56, 212, 212, 45), "both": (1107, 1052, 55, 221, 221, 4),
                  "wait": (1118, 1062, 56, 221, 221, 4)} | changes
        return {name: {"steps": [{"pages": pages, "hits": hits, "misses": misses}], "whole": {"users": users, "pairs": pairs},
                       "each": [{"most_in_flight": most}, {"most_in_flight": 0}]}
                for name, (pages, hits, misses, users, pairs, most) in counts.items()}

    def test_that_the_bounded_wait_moves_nobody_where_all_are_full_is_no_fault(self):
        self.assertEqual(judged(self.found(), 4), [])

    def test_what_must_hold(self):
        for changes, words in (({"both": (514, 500, 14, 221, 221, 4)}, "no more pages"), ({"wait": (513, 500, 13, 221, 221, 4)}, "no more pages"),
                               ({"affinity": (797, 200, 400, 212, 212, 45)}, "hits no more"), ({"wait": (1118, 300, 800, 221, 221, 4)}, "hits no more"),
                               ({"random": (514, 200, 314, 202, 202, 44)}, "nobody moved"), ({"random": (514, 200, 314, 202, 542, 4)}, "about maxconn")):
            wrong = judged(self.found(**changes), 4)
            self.assertEqual((len(wrong), words in wrong[0]), (1, True), wrong)


if __name__ == "__main__":
    unittest.main()
