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
        let mut one = TcpStream::connect(at.api).await.unwrap();
        one.write_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut status = [0; 12];
        one.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        let another = refused(at.api, "GET", "/v1/events", "").await;
        assert_eq!(another, (503, "listeners".to_owned()));
        drop(one);
        while endless(at.api, "/v1/events").await != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}
