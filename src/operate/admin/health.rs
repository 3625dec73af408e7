//! `/readyz`: whether requests find a server here.

use super::answer::{Asked, stream};
use super::out::{Gone, Out};
use super::serve::Desk;
use crate::limits::PoolId;

/// 200, or 503 and why: beelance stops, or a pool has no usable server.
pub(super) async fn ready(desk: &Desk, out: &mut Out<'_>, asked: &Asked<'_>) -> Result<(), Gone> {
    let proxy = desk.proxy;
    let empty = |id: PoolId| proxy.balancer.borrow().usable(id) == (0, 0);
    let config = proxy.config();
    let pools = || config.order.pools.iter().copied();
    let stopping = proxy.is_stopping();
    let ready = !stopping && !pools().any(empty);
    stream(out, asked, if ready { 200 } else { 503 }, "text/plain; charset=utf-8").await?;
    if ready {
        out.write(|text| text.bytes(b"ready\n")).await?;
    }
    if stopping {
        out.write(|text| text.bytes(b"stopping\n")).await?;
    }
    for id in pools().filter(|&id| empty(id)) {
        out.write(|text| {
            for part in ["pool ", &config.pools[id.index()].name, " has no server available\n"] {
                text.bytes(part.as_bytes());
            }
        })
        .await?;
    }
    out.end().await
}
