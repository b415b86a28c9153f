//! An HTTPS server on this machine, with certificates of its own authority: what a provider's server may do, and worse.

use std::io::{self, BufRead as _, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Whom the server's certificate names, and when it holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Certificate {
    /// `localhost`, now.
    Sound,
    /// `localhost`, some years ago.
    Expired,
    /// `localhost`, in some years.
    NotYet,
    /// Somebody else, now.
    OtherName,
}

/// A request as it came.
pub(crate) struct Asked {
    /// How many came before it.
    pub(crate) number: usize,
    /// The path.
    pub(crate) path: String,
    /// The lines after the first, in lower case.
    pub(crate) headers: Vec<String>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// What answers are written to.
pub(crate) type Out<'a> = &'a mut dyn Write;

/// A server that answers until it is gone.
pub(crate) struct Server {
    port: u16,
    authority: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts one with a sound certificate.
    pub(crate) fn start(answer: impl Fn(&Asked, Out<'_>) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self::with(Certificate::Sound, answer)
    }

    /// Starts one.
    pub(crate) fn with(
        certificate: Certificate,
        answer: impl Fn(&Asked, Out<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (config, authority) = config(certificate);
        let (asked, ends) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (seen, told) = (Arc::clone(&asked), Arc::clone(&ends));
        let answer = Arc::new(answer);
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if told.load(Ordering::SeqCst) {
                    return;
                }
                let (config, seen, answer) = (Arc::clone(&config), Arc::clone(&seen), Arc::clone(&answer));
                // A client that goes away ends its connection alone.
                thread::spawn(move || drop(serve(stream, config, &seen, &*answer)));
            }
        });
        Self { port, authority, asked, ends, thread: Some(thread) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address of a path here.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// The certificate of the server's authority, as PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Paths that were asked for so far.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|asked| asked.path.clone()).collect()
    }

    /// A header of each request so far.
    pub(crate) fn headers(&self, name: &str) -> Vec<Option<String>> {
        self.asked.lock().unwrap().iter().map(|asked| asked.header(name).map(str::to_owned)).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        // It waits for a connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    seen: &Mutex<Vec<Asked>>,
    answer: &(impl Fn(&Asked, Out<'_>) -> io::Result<()> + ?Sized),
) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut reader = BufReader::new(StreamOwned::new(connection, stream));
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    let headers: Vec<String> = lines.iter().skip(1).map(|line| line.to_ascii_lowercase()).collect();
    let asked = {
        let mut seen = seen.lock().unwrap();
        let number = seen.len();
        seen.push(Asked { number, path: path.clone(), headers: headers.clone() });
        Asked { number, path, headers }
    };
    let mut stream = reader.into_inner();
    answer(&asked, &mut stream)?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// Writes an answer with a body.
pub(crate) fn respond(out: Out<'_>, status: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
    head(out, status, headers, Some(body.len() as u64))?;
    out.write_all(body)?;
    out.flush()
}

/// Writes the lines before a body.
pub(crate) fn head(
    out: Out<'_>,
    status: &str,
    headers: &[(&str, &str)],
    length: Option<u64>,
) -> io::Result<()> {
    write!(out, "HTTP/1.1 {status}\r\nConnection: close\r\n")?;
    for (name, value) in headers {
        write!(out, "{name}: {value}\r\n")?;
    }
    if let Some(length) = length {
        write!(out, "Content-Length: {length}\r\n")?;
    }
    write!(out, "\r\n")?;
    out.flush()
}

fn config(certificate: Certificate) -> (Arc<ServerConfig>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    // A name of its own: authorities of the same name are the same to whoever looks for one.
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, format!("tests {:x?}", &key.public_key_raw()[1..9]));
    let issuer = CertifiedIssuer::self_signed(params, key).unwrap();

    let name = match certificate {
        Certificate::OtherName => "other.example",
        Certificate::Sound | Certificate::Expired | Certificate::NotYet => "localhost",
    };
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let years = |from: i32, to: i32| (rcgen::date_time_ymd(from, 1, 1), rcgen::date_time_ymd(to, 1, 1));
    (params.not_before, params.not_after) = match certificate {
        Certificate::Sound | Certificate::OtherName => years(2020, 2120),
        Certificate::Expired => years(2019, 2020),
        Certificate::NotYet => years(2110, 2120),
    };
    let key = KeyPair::generate().unwrap();
    let signed = params.signed_by(&key, &issuer).unwrap();
    let chain = vec![CertificateDer::from(signed.der().to_vec())];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    (Arc::new(config), issuer.pem())
}
