//! nginx as a layer: its configuration, and the request that is asked about.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use crate::nginx::{Files, Request};
use crate::site::path::RawNginx;
use crate::system;

/// A location of nginx.
#[derive(Debug, Default, Clone, clap::Args)]
#[command(next_help_heading = "nginx")]
pub(in crate::cli) struct NginxOptions {
    /// `nginx.conf`, or the output of `nginx -T`; this host's nginx is asked where it is left out and a path is named
    #[arg(long, value_name = "FILE")]
    nginx: Option<PathBuf>,
    /// The folder that stands for `/`, where the configuration is a copy of another host's
    #[arg(long, value_name = "DIR", requires = "nginx")]
    nginx_root: Option<PathBuf>,
    /// The name of the server as callers write it; any where it is left out
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Path and query as callers send them, such as `/callback`
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// The method that callers use; any where it is left out
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// A header that callers send; may be repeated
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// The proxy's address that all callers arrive from, at nginx and at its host
    #[arg(long, value_name = "ADDRESS")]
    pub(super) proxy: Option<IpAddr>,
}

fn header(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once(':').filter(|(name, _)| !name.trim().is_empty());
    let (name, value) = pair.ok_or_else(|| "write `Name: value`".to_owned())?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

impl NginxOptions {
    /// Whether nginx is asked.
    pub(super) fn is_named(&self) -> bool {
        self.nginx.is_some() || self.server_name.is_some() || self.path.is_some()
    }

    /// What the site names, with files below its folder.
    pub(super) fn of_site(raw: &RawNginx, proxy: Option<IpAddr>, base: &Path) -> Self {
        let one = |name: &Option<String>| name.as_ref().map(|name| base.join(name));
        Self {
            nginx: one(&raw.nginx),
            nginx_root: one(&raw.nginx_root),
            server_name: raw.server_name.clone(),
            path: raw.path.as_ref().map(|path| path.value.clone()),
            method: raw.method.clone(),
            header: raw.headers.iter().filter_map(|text| header(&text.value).ok()).collect(),
            proxy,
        }
    }

    /// These, and what they leave open from others.
    pub(super) fn or(self, other: Self) -> Self {
        let header = if self.header.is_empty() { other.header } else { self.header };
        let nginx_root = if self.nginx.is_some() { self.nginx_root } else { other.nginx_root };
        Self {
            nginx: self.nginx.or(other.nginx),
            nginx_root,
            server_name: self.server_name.or(other.server_name),
            path: self.path.or(other.path),
            method: self.method.or(other.method),
            header,
            proxy: self.proxy.or(other.proxy),
        }
    }

    /// Reads the texts.
    pub(super) fn read(self) -> anyhow::Result<(Files, Request)> {
        let request = Request {
            server_name: self.server_name,
            // Of a server of the stream module no path is asked.
            path: self.path.unwrap_or_default(),
            method: self.method,
            headers: self.header,
            proxy: self.proxy,
        };
        if !request.path.is_empty() && !request.path.starts_with('/') {
            return Err(anyhow!(
                "`{}` is no path of a request\n  help: begin it with `/`, such as `--path /callback`",
                request.path.escape_debug()
            ));
        }
        let files = match &self.nginx {
            Some(main) => system::nginx::files(main, self.nginx_root.as_deref()),
            None => live()?,
        };
        Ok((files.map_err(|error| anyhow!("{error}\n  help: {}", error.help))?, request))
    }
}

/// What the nginx of this host prints.
fn live() -> anyhow::Result<Result<Files, crate::nginx::ReadError>> {
    let taken = system::nginx::capture()
        .map_err(|error| anyhow!("{error}\n  help: {}", system::nginx::CAPTURE_HELP))?;
    Files::of_dump(&taken.text).ok_or_else(|| {
        anyhow!("`{}` printed no configuration\n  help: {}", taken.command, system::nginx::CAPTURE_HELP)
    })
}
