"""Calls by the real SIPp, each by a scenario of loadtest/sipp or one of SIPp's own."""

import unittest

import sipp
from server import Server, WithCalls, wait_until


class Calls(WithCalls):
    """Calls that are answered at once."""

    def test_sipps_own_caller_joins_a_room(self):
        sipp.run(self.server, "-sn uac", "-r", 20, "-d", 200, number="3001", calls=20)

    def test_sipps_own_caller_joins_a_room_by_name(self):
        sipp.run(self.server, "-sn uac", "-d", 100, number="confsales")

    def test_a_call_over_one_tcp_connection(self):
        sipp.run(self.server, "-sn uac", "-t", "t1", "-r", 20, "-d", 200, calls=20)

    def test_calls_over_a_tcp_connection_each(self):
        sipp.run(self.server, "-sn uac", "-t", "tn", "-r", 20, "-d", 200, calls=20)

    def test_hold_and_resume(self):
        sipp.run(self.server, "hold_and_resume")

    def test_changed_address_and_changed_codec(self):
        sipp.run(self.server, "changed_media")

    def test_bye_before_ack(self):
        sipp.run(self.server, "bye_before_ack")

    def test_an_offer_in_the_answer(self):
        sipp.run(self.server, "late_offer", "-d", 200)

    def test_update_holds_and_resumes(self):
        sipp.run(self.server, "update")

    def test_info_carries_a_digit(self):
        sipp.run(self.server, "info_digit")

    def test_options_is_answered_with_what_the_server_can(self):
        sipp.run(self.server, "options")

    def test_many_pings_at_once(self):
        sipp.run(self.server, "options", "-r", 200, calls=200)

    def test_session_timer_is_agreed_on_and_refreshed(self):
        sipp.run(self.server, "session_timer")

    def test_a_call_through_a_proxy_is_ended_along_its_route(self):
        with sipp.Sipp(self.server, "behind_a_proxy", number="3002") as caller:
            joined = lambda: [p for p in self.server.participants("3002") if p["answered"]]
            member = wait_until(joined, "the caller is in the room")[0]
            status, _ = self.server.request("DELETE", f"/v1/participants/{member['id']}")
            self.assertEqual(status, 204)
            caller.finish()


class RingingCalls(WithCalls):
    """Calls to a server that lets them ring for a while."""

    settings = {"sip": {"ring_time": "1s"}}

    def test_a_caller_gives_up_by_cancel(self):
        sipp.run(self.server, "cancel", "-r", 10, calls=10)

    def test_a_caller_gives_up_by_bye(self):
        sipp.run(self.server, "early_bye", "-r", 10, calls=10)

    def test_ringing_is_reliable_where_required(self):
        sipp.run(self.server, "prack")


class UnluckyCalls(unittest.TestCase):
    """Calls that lose messages on the way."""

    def test_a_call_whose_ack_is_lost_is_ended_by_the_server(self):
        with Server(sip={"t1": "20ms", "t2": "80ms"}) as server:
            sipp.run(server, "lost_ack", "-r", 10, calls=10)
            server.wait_until_empty()

    def test_calls_survive_a_network_that_loses_every_tenth_message(self):
        # SIPp repeats a BYE after 0.5, 1, 2, 4, 4 ... seconds and a server answers repetitions for 64 * T1:
        # these 19 seconds leave room for seven losses in a row, where 6 s once did not suffice for four.
        # SIPp takes a repeated answer to its INVITE for the one to its BYE: where the BYE was lost, the
        # server alone must notice that nobody is there, after 64 * T1 where the ACK was lost too.
        with Server(sip={"t1": "300ms"}, rtp={"media_timeout": "5s"}) as server:
            sipp.run(server, "-sn uac", "-r", 20, "-d", 200, "-lost", 10, calls=100, seconds=60)
            server.wait_until_empty(seconds=40)


if __name__ == "__main__":
    unittest.main()
