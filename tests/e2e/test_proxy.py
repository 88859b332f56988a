"""Behind a real proxy: Kamailio with the configuration beside this file, which docs/kamailio.md explains."""

import unittest

import sipp
import sound
from baresip import Baresip
from kamailio import Kamailio
from phone import Phone
from server import HOST, Server, wait_until
from sound import HEARD, UNHEARD


class BehindKamailio(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Server())
        cls.proxy = cls.enterClassContext(Kamailio(cls.server))

    def tearDown(self):
        self.server.wait_until_empty()

    def requests(self, method):
        return self.server.metrics().get(f'mixminus_sip_requests_total{{method="{method}"}}', 0)

    def answers(self):
        return self.server.metrics()['mixminus_sip_responses_received_total{class="2xx"}']

    def test_calls_with_hold_and_resume_go_by_the_proxy(self):
        trace = sipp.run(self.proxy, "through_a_proxy", "-r", 20, number="3001", calls=20)
        self.assertIn(f"Route: <sip:{HOST}:{self.proxy.port};lr", trace)
        self.assertNotIn("Path:", trace, "what the proxy added to the INVITE is not given back")

    def test_calls_to_the_proxy_by_tcp_reach_the_server_by_udp(self):
        sipp.run(self.proxy, "through_a_proxy", "-t", "t1", number="9000", calls=5)

    def test_refusals_come_back_through_the_proxy(self):
        with Phone(self.proxy) as phone:
            refused = phone.invite("1234")
            self.assertEqual(refused.status, 404)
            phone.acknowledge()

    def test_a_registration_with_path_is_refused_and_does_no_harm(self):
        with Phone(self.proxy) as phone:
            phone.send(phone.request("REGISTER", "3000"))
            self.assertEqual(phone.response().status, 405)

    def test_its_pings_are_answered(self):
        pings = self.requests("OPTIONS")
        wait_until(lambda: self.requests("OPTIONS") >= pings + 2, "two more pings")
        self.assertEqual(self.proxy.states(), ["AP"])

    def test_callers_hear_each_other_and_the_bye_of_the_server_comes_by_the_proxy(self):
        with Phone(self.proxy) as one, Phone(self.proxy) as two:
            one.call("3002")
            two.call("3002")
            one.play(sound.tone(500, 1), seconds=2)
            two.play(sound.tone(900, 1), seconds=2)
            for phone in (one, two):
                phone.stop_playing()
            for phone, hears, says in ((one, 900, 500), (two, 500, 900)):
                self.assertGreater(phone.level(hears), HEARD)
                self.assertLess(phone.level(says), UNHEARD)
            before = self.answers()
            self.server.request("DELETE", "/v1/rooms/3002")
            for phone in (one, two):
                bye = phone.receive()
                self.assertEqual((bye.method, bye.source), ("BYE", (HOST, self.proxy.port)))
                self.assertFalse(bye.get("Route"), "the proxy took its own route away")
                phone.answer(bye)
            wait_until(lambda: self.answers() == before + 2, "both answers came back to the server")

    def test_real_phones_hear_each_other(self):
        phones = [Baresip("one", 500), Baresip("two", 900)]
        for phone in phones:
            self.addCleanup(phone.close)
            phone.call(self.server, "3003", seconds=13, proxy=self.proxy)
        wait_until(lambda: len([p for p in self.server.participants("3003") if p["answered"]]) == 2, "both are there", 10)
        for phone in phones:
            phone.finish(40)
        for phone, hears, says in zip(phones, (900, 500), (500, 900)):
            self.assertGreater(phone.level(hears), HEARD)
            self.assertLess(phone.level(says), UNHEARD)
        log = (phones[0].folder / "log").read_text(errors="replace")
        self.assertIn("Call established", log)


class WhileItRings(unittest.TestCase):
    def test_cancel_goes_by_the_proxy(self):
        with Server(sip={"ring_time": "5s"}) as server, Kamailio(server) as proxy:
            sipp.run(proxy, "cancel", "-r", 10, calls=10)
            server.wait_until_empty()
            cancelled = server.metrics()['mixminus_sip_refusals_total{reason="cancelled"}']
            self.assertEqual(cancelled, 10)


class ByTcp(unittest.TestCase):
    def test_calls_that_the_proxy_brings_by_tcp(self):
        with Server() as server, Kamailio(server, transport="tcp") as proxy:
            sipp.run(proxy, "through_a_proxy", "-r", 20, number="3001", calls=20)
            server.wait_until_empty()


class ManyServers(unittest.TestCase):
    def test_a_room_is_on_one_server_and_a_server_that_stops_gets_no_new_calls(self):
        with Server() as one, Server() as two, Kamailio(one, two) as proxy:
            servers = [one, two]
            with Phone(proxy) as first, Phone(proxy) as second:
                for phone in (first, second):
                    phone.call("3001")
                members = [len(server.participants("3001")) for server in servers]
                self.assertEqual(sorted(members), [0, 2])
                for phone in (first, second):
                    phone.hang_up()
            taken = servers[members.index(2)]
            other = servers[members.index(0)]
            with Phone(proxy) as waits:
                # Its BYE has no answer yet: the server is still there, and answers pings by 503.
                waits.call("3001")
                taken.process.terminate()
                self.assertEqual(waits.receive().method, "BYE")
                wait_until(lambda: sorted(proxy.states()) == ["AP", "IP"], "the proxy knows that it stops", 4)
                with Phone(proxy) as phone:
                    phone.call("3001")
                    self.assertEqual(len(other.participants("3001")), 1)
                    phone.hang_up()
            self.assertEqual(taken.process.wait(20), 0)


if __name__ == "__main__":
    unittest.main()
