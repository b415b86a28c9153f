//! Options of what fetches pages, and what they amount to.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow};

use crate::cli::{now, parse_time};
use crate::system;
use crate::upstream::fetch::cache::Cache;
use crate::upstream::fetch::{Fetcher, Settings, check_authorities};

/// Most bytes of a file of certificates: a platform's whole store has a quarter of a megabyte.
const CA_BYTES_MAX: u64 = 8 << 20;

/// How pages are fetched.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Fetching")]
pub(super) struct Network {
    /// Trust the authorities of this PEM file as well as the platform's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Keep pages in this folder, and ask only whether they changed
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Longest that one page may take, with all attempts
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_timeout)]
    timeout: Duration,
}

impl Default for Network {
    fn default() -> Self {
        Self { ca_file: None, cache: None, timeout: Duration::from_mins(1) }
    }
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    match parse_time(text)? {
        time if (1..=600).contains(&time.as_secs()) => Ok(time),
        _ => Err(format!("`{text}` is not between 1s and 10m")),
    }
}

impl Network {
    /// What fetches pages; the network is not used yet.
    pub(super) fn fetcher(self) -> anyhow::Result<Fetcher> {
        let authorities = self.ca_file.map(|path| -> anyhow::Result<Vec<u8>> {
            let pem = system::read_bytes(&path, CA_BYTES_MAX)?;
            check_authorities(&pem).map_err(|why| anyhow!("`{}` can't be used: {why}", path.display()))?;
            Ok(pem)
        });
        let cache = self
            .cache
            .map(|folder| Cache::open(&folder).map_err(|error| anyhow!("{error}\n  help: {}", error.help())));
        Ok(Fetcher::new(Settings {
            time: self.timeout,
            authorities: authorities.transpose().context("--ca-file")?,
            cache: cache.transpose().context("--cache")?,
            clock: now,
        }))
    }
}
