//! Many pages: a few hosts at a time, and one page of a host at a time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread;

use reqwest::Url;

use crate::policy::{Page, PageKind};

/// Most hosts that are asked at the same time.
const HOSTS_MAX: usize = 4;

/// Does `work` for every page, and gives the results in the pages' order. Pages of one host come one after the other.
pub fn each<T: Send>(pages: &[&Page], work: impl Fn(usize, &Page) -> T + Sync) -> Vec<T> {
    let mut hosts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, page) in pages.iter().enumerate() {
        hosts.entry(host(page)).or_default().push(number);
    }
    let workers = hosts.len().min(HOSTS_MAX);
    let waiting = Mutex::new(hosts.into_values());
    let done = Mutex::new(Vec::with_capacity(pages.len()));
    let serve = || {
        loop {
            // The guard is gone at the end of this line: others may take the next host meanwhile.
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(numbers) = next else { return };
            let pages = numbers.into_iter().filter_map(|number| Some((number, *pages.get(number)?)));
            for (number, page) in pages {
                let result = work(number, page);
                done.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(serve);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Whom a page is asked of; names are asked of the resolver.
fn host(page: &Page) -> String {
    if page.kind == PageKind::Dns {
        return String::new();
    }
    let host = Url::parse(&page.url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.unwrap_or_else(|| page.url.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn pages_keep_their_order_and_a_host_is_asked_once_at_a_time() {
        let pages: Vec<Page> = (0..40)
            .map(|number| Page::new(&format!("https://{}.example/{number}", number % 5), PageKind::Html))
            .collect();
        let pages: Vec<&Page> = pages.iter().collect();
        let busy: Vec<AtomicUsize> = (0..5).map(|_| AtomicUsize::new(0)).collect();
        let all = AtomicUsize::new(0);
        let results = each(&pages, |number, page| {
            assert_eq!(busy[number % 5].fetch_add(1, Ordering::SeqCst), 0, "{}", page.url);
            assert!(all.fetch_add(1, Ordering::SeqCst) < HOSTS_MAX);
            thread::yield_now();
            all.fetch_sub(1, Ordering::SeqCst);
            busy[number % 5].fetch_sub(1, Ordering::SeqCst);
            number
        });
        assert_eq!(results, (0..40).collect::<Vec<_>>());
        assert!(each(&[], |number, _| number).is_empty());
    }
}
