//! What is refused, and that it is said why.

use super::*;

/// The word and the status of a refusal.
async fn refused(api: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let (status, answer) = ask_with(api, method, path, body).await;
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    (status, answer["error"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn only_who_listens_to_events_takes_a_place() {
    with_server(9804, "connections_max = 2\n", async |at| {
        for _ in 0..2 {
            assert_eq!(ask(at.api, "HEAD", "/v1/events").await, (200, String::new()));
        }
        let (one, status) = endless(at.api, "/v1/events").await;
        assert_eq!(status, 200);
        let another = refused(at.api, "GET", "/v1/events", "").await;
        assert_eq!(another, (503, "listeners".to_owned()));
        drop(one);
        while endless(at.api, "/v1/events").await.1 != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn who_rings_is_not_said_to_be_unknown() {
    with_sip(9868, "ring_time = \"1min\"\n", "", async |at| {
        let ann = Phone::new(at.sip, "ann").await;
        ann.send("INVITE", "3001", "INVITE", OFFER).await;
        ann.receive("SIP/2.0 180").await;
        let one = first_participant(at.api).await;
        for (method, order, body) in [
            ("POST", "recordings", ""),
            ("POST", "digits", "{\"digits\":\"1\"}"),
            ("PUT", "room", "{\"name\":\"3002\"}"),
            ("PUT", "siprec", ""),
            ("DELETE", "siprec", ""),
        ] {
            let path = format!("/v1/participants/{one}/{order}");
            let answer = refused(at.api, method, &path, body).await;
            assert_eq!(answer, (409, "not_answered".to_owned()), "{method} {order}");
            let path = format!("/v1/participants/77/{order}");
            let answer = refused(at.api, method, &path, body).await;
            assert_eq!(answer, (404, "no_participant".to_owned()), "{method} {order}");
        }
    });
}

#[test]
fn where_there_is_no_recorder_a_room_and_a_call_are_there_all_the_same() {
    with_server(9932, "", async |at| {
        let _ann = Phone::call(at.sip, "ann", "3001").await;
        let one = first_participant(at.api).await;
        let call = format!("/v1/participants/{one}/siprec");
        for path in ["/v1/rooms/3001/siprec", &call] {
            let asked = async |method| refused(at.api, method, path, "").await;
            assert_eq!(asked("PUT").await, (409, "no_recorder".to_owned()), "{path}");
            assert_eq!(asked("DELETE").await, (409, "not_sent".to_owned()), "{path}");
        }
        let elsewhere = refused(at.api, "PUT", "/v1/rooms/3002/siprec", "").await;
        assert_eq!(elsewhere, (404, "no_room".to_owned()));
    });
}

#[test]
fn what_is_over_is_not_said_to_be_unknown_and_a_limit_is_named() {
    let folder = std::env::temp_dir().join(format!("mixminus-over-{}", std::process::id()));
    let more = format!("[recording]\nfolder = {folder:?}\nmax = 1\n");
    with_server(9996, &more, async |at| {
        let _ann = Phone::call(at.sip, "ann", "3001").await;
        let _bob = Phone::call(at.sip, "bob", "3002").await;
        let (status, body) = ask(at.api, "POST", "/v1/rooms/3001/recordings").await;
        assert_eq!(status, 201, "{body}");
        let another = refused(at.api, "POST", "/v1/rooms/3002/recordings", "").await;
        assert_eq!(another, (503, "recordings_full".to_owned()));
        let begun: Value = serde_json::from_str(&body).unwrap();
        let path = format!("/v1/recordings/{}", begun["id"].as_str().unwrap());
        assert_eq!(ask(at.api, "POST", &format!("{path}/stop")).await.0, 204);
        until(at.api, &path, |recording| recording["state"] == "finished").await;
        for (act, body) in [("stop", ""), ("pause", ""), ("marks", "{\"label\":\"offer\"}")] {
            let answer = refused(at.api, "POST", &format!("{path}/{act}"), body).await;
            assert_eq!(answer, (409, "recording_over".to_owned()), "{act}");
        }
        let unknown = refused(at.api, "POST", "/v1/recordings/none/stop", "").await;
        assert_eq!(unknown, (404, "no_recording".to_owned()));
    });
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_list_is_no_object() {
    with_server(10060, "", async |at| {
        let _ann = Phone::call(at.sip, "ann", "3001").await;
        let one = first_participant(at.api).await;
        for (method, order, body) in [
            ("PUT", "gain", "[1,2]"),
            ("POST", "digits", " [\"1\",100,80,10]"),
            ("PUT", "room", "\n[\"3002\"]"),
            ("POST", "recordings", "[[\"received\"],\"flac\",8000,\"stereo\",1]"),
        ] {
            let path = format!("/v1/participants/{one}/{order}");
            let answer = refused(at.api, method, &path, body).await;
            assert_eq!(answer, (400, "list".to_owned()), "{order}");
        }
    });
}

#[test]
fn a_server_with_as_many_requests_as_may_be_is_well() {
    with_server(10124, "requests_max = 1\n", async |at| {
        let mut one = TcpStream::connect(at.api).await.unwrap();
        let head =
            "PUT /v1/participants/1/room HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{";
        one.write_all(head.as_bytes()).await.unwrap();
        let busy = (503, "busy".to_owned());
        while refused(at.api, "GET", "/v1/rooms", "").await != busy {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(get(at.api, "/health").await["ready"], true);
        drop(one);
    });
}

#[test]
fn a_room_that_no_recorder_takes_is_recorded_here_and_that_is_told() {
    let folder = std::env::temp_dir().join(format!("mixminus-cover-{}", std::process::id()));
    // Nobody is there.
    let more = format!(
        "[recording]\nfolder = {folder:?}\n[siprec]\nsend_to = [\"sip:srs@127.0.0.1:9\"]\n\
         answer_timeout = \"500ms\"\n"
    );
    with_server(10188, &more, async |at| {
        let _ann = Phone::call(at.sip, "ann", "3001").await;
        let _bob = Phone::call(at.sip, "bob", "3002").await;
        assert_eq!(ask(at.api, "PUT", "/v1/rooms/3001/siprec").await.0, 204);
        until(at.api, "/v1/rooms/3001", |room| room["recorded"] == true).await;
        let all = get(at.api, "/v1/rooms").await;
        let recorded = [0, 1].map(|at| all["rooms"][at]["recorded"].as_bool().unwrap());
        assert_eq!(recorded, [true, false], "{all}");
        assert_eq!(ask(at.api, "DELETE", "/v1/rooms/3001/siprec").await.0, 204);
        until(at.api, "/v1/rooms/3001", |room| room["recorded"] == false).await;
    });
    std::fs::remove_dir_all(folder).unwrap();
}
