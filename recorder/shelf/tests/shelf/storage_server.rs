//! An S3-compatible server (s3s-fs, which checks signatures) with faults to order.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::folder::Folder;

pub(crate) const ACCESS_KEY: &str = "key";
pub(crate) const SECRET_KEY: &str = "secret";
pub(crate) const BUCKET: &str = "bucket";

/// What is to go wrong, and what was asked for.
#[derive(Default)]
pub(crate) struct Script {
    /// Connections are closed at once.
    pub(crate) away: bool,
    /// For the next uploads of content, whether each fails.
    pub(crate) puts_fail: VecDeque<bool>,
    /// The next upload is taken and confirmed, but only its first byte is kept.
    pub(crate) loses_content: bool,
    /// The paths of all uploads of content that went well.
    pub(crate) puts: Vec<String>,
}

pub(crate) struct StorageServer {
    pub(crate) address: SocketAddr,
    pub(crate) objects: Folder,
    pub(crate) script: Arc<Mutex<Script>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl StorageServer {
    pub(crate) fn start(script: Script) -> Self {
        let objects = Folder::new();
        fs::create_dir(objects.path().join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(objects.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = Arc::new(builder.build());
        let script = Arc::new(Mutex::new(script));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let (shared, root) = (Arc::clone(&script), objects.path().to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = serve(listener, service, shared, root) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, objects, script, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The content of an object.
    pub(crate) fn object(&self, key: &str) -> Option<Vec<u8>> {
        fs::read(self.objects.path().join(BUCKET).join(key)).ok()
    }
}

impl Drop for StorageServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

async fn serve(
    listener: TcpListener,
    service: Arc<S3Service>,
    script: Arc<Mutex<Script>>,
    root: PathBuf,
) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        if script.lock().unwrap().away {
            continue;
        }
        let (service, script, root) = (Arc::clone(&service), Arc::clone(&script), root.clone());
        let answer = hyper::service::service_fn(move |request| {
            answer(Arc::clone(&service), Arc::clone(&script), root.clone(), request)
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(socket), answer);
        tokio::spawn(async { drop(connection.await) });
    }
}

async fn answer(
    service: Arc<S3Service>,
    script: Arc<Mutex<Script>>,
    root: PathBuf,
    request: Request<Incoming>,
) -> Result<Response<s3s::Body>, Infallible> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let is_put = method == Method::PUT;
    let away = script.lock().unwrap().away;
    let fails = is_put && script.lock().unwrap().puts_fail.pop_front() == Some(true);
    if fails || away {
        let answer = Response::builder().status(503).body(s3s::Body::empty());
        return Ok(answer.unwrap());
    }
    let answer = match service.call(request.map(s3s::Body::from)).await {
        Ok(answer) => answer,
        Err(_) => Response::builder().status(500).body(s3s::Body::empty()).unwrap(),
    };
    if is_put && answer.status().is_success() {
        let mut script = script.lock().unwrap();
        if std::mem::take(&mut script.loses_content) {
            let object = fs::File::options().write(true).open(root.join(&path[1..]));
            object.unwrap().set_len(1).unwrap();
        }
        script.puts.push(path);
    }
    Ok(answer)
}
