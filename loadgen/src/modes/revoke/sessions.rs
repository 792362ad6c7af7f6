//! Many sessions over many connections.

use std::sync::Arc;

use portcullis_model::SessionTerms;
use tokio::task::JoinSet;

use crate::error::LoadError;
use crate::load::{Link, Opening};

/// Opens `count` sessions of the same terms, spread evenly, on all connections at the same time.
pub(super) async fn open(links: &[Arc<Link>], count: usize, terms: &SessionTerms) -> Result<Vec<Vec<u64>>, LoadError> {
    let mut tasks = JoinSet::new();
    for (place, link) in links.iter().enumerate() {
        let some = count / links.len() + usize::from(place < count % links.len());
        let (link, opening) = (Arc::clone(link), Opening::of(terms));
        tasks.spawn(async move { (place, link.open_sessions(some, |_| opening.clone()).await) });
    }
    let mut handles = vec![Vec::new(); links.len()];
    while let Some(ended) = tasks.join_next().await {
        let (place, opened) = ended.map_err(|_| LoadError::ThreadGone)?;
        handles[place] = opened?;
    }
    Ok(handles)
}

/// Closes sessions on the connections that they belong to.
pub(super) async fn close(links: &[Arc<Link>], handles: Vec<Vec<u64>>) -> Result<(), LoadError> {
    let mut tasks = JoinSet::new();
    for (link, handles) in links.iter().zip(handles) {
        let link = Arc::clone(link);
        tasks.spawn(async move { link.close_sessions(handles).await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|_| LoadError::ThreadGone)??;
    }
    Ok(())
}
