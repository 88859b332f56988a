//! An S3-compatible server for tests: `storage ADDRESS FOLDER ACCESS_KEY SECRET_KEY`. A bucket is a
//! folder in the folder, an object a file in it; signatures are checked.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, folder, access_key, secret_key] = arguments.as_slice() else {
        return Err("usage: storage ADDRESS FOLDER ACCESS_KEY SECRET_KEY".into());
    };
    let files = s3s_fs::FileSystem::new(folder).map_err(|error| format!("{folder}: {error:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(access_key, secret_key.as_str()));
    let service = Arc::new(builder.build());
    let listener = TcpListener::bind(address).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        let service = Arc::clone(&service);
        let answer = service_fn(move |request| answer(Arc::clone(&service), request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), answer);
        // A connection that breaks is the client's affair.
        tokio::spawn(async { drop(connection.await) });
    }
}

async fn answer(
    service: Arc<S3Service>,
    request: Request<Incoming>,
) -> Result<Response<s3s::Body>, Infallible> {
    let refused = |_| {
        let mut response = Response::new(s3s::Body::empty());
        *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        response
    };
    Ok(service.call(request.map(s3s::Body::from)).await.unwrap_or_else(refused))
}
