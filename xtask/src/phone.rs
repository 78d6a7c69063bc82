//! Telephony of the development stack: livekit-sip and a phone that answers, if both programs are installed.

use std::{fs, path::Path, time::Duration};

use anyhow::{Result, bail};
use serde_json::json;

use crate::{
    process::{Server, bound, free_port, has, wait_for},
    seed::{Client, Seeded, text},
    stack::Stack,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A SIP service, and a phone that answers every call.
pub struct Phone {
    /// Both servers.
    pub servers: Vec<Server>,
    /// SIP port for inbound calls.
    pub sip_port: u16,
    /// SIP port of the phone.
    pub peer_port: u16,
}

/// The missing program, if any, and how to install it.
pub fn missing() -> Option<String> {
    let programs = [
        ("livekit-sip", "build github.com/livekit/sip"),
        ("sipp", "Debian's package sip-tester"),
    ];
    let (program, how) = programs.into_iter().find(|(program, _)| !has(program))?;
    Some(format!("{program} is not on PATH ({how})"))
}

/// Starts both for a stack with a LiveKit of its own.
pub fn start(stack: &Stack, folder: &Path, preferred: u16) -> Result<Option<Phone>> {
    let Some(valkey_port) = stack.valkey_port.filter(|_| missing().is_none()) else {
        return Ok(None);
    };
    let sip_port = free_port("livekit-sip", preferred)?;
    let rtp = free_port("RTP", 0)?.min(60_000);
    let config = json!({
        "api_key": stack.livekit_key,
        "api_secret": stack.livekit_secret,
        "ws_url": stack.livekit_url,
        "redis": { "address": format!("127.0.0.1:{valkey_port}") },
        "sip_port": sip_port,
        "rtp_port": format!("{rtp}-{}", rtp + 400),
        "listen_ip": "127.0.0.1",
        "local_net": "127.0.0.0/8",
        "nat_1_to_1_ip": "127.0.0.1",
        "max_cpu_utilization": 1.0,
        "logging": { "level": "info" },
    });
    let file = folder.join("livekit-sip.json");
    fs::write(&file, config.to_string())?;
    crate::secrets::restrict(&file)?;
    let log = folder.join("livekit-sip.log");
    let mut command = bound("livekit-sip");
    command.arg("--config").arg(&file);
    let mut sip = Server::start("livekit-sip", &mut command, &log)?;
    let listens =
        || fs::read_to_string(&log).is_ok_and(|text| text.contains("signaling listening"));
    wait_for("livekit-sip", PATIENCE, &log, &mut sip, listens)?;
    let peer_port = free_port("the telephone", 0)?;
    let mut command = bound("sipp");
    command.args(["-sn", "uas", "-i", "127.0.0.1", "-nostdin", "-p"]);
    command.arg(peer_port.to_string()).current_dir(folder);
    let peer = Server::start("the telephone", &mut command, &folder.join("telephone.log"))?;
    Ok(Some(Phone {
        servers: vec![peer, sip],
        sip_port,
        peer_port,
    }))
}

/// Creates the tenant's trunk to the phone; returns its id once it is synced.
pub fn trunk(base: &str, seeded: &Seeded, peer_port: u16) -> Result<String> {
    let client = Client::new(base, &seeded.key);
    let path = format!("/api/tenants/{}/sip-trunks", seeded.tenant);
    let made = client.post(
        &path,
        &json!({
            "name": format!("telephone on {peer_port}"), "address": format!("127.0.0.1:{peer_port}"),
            "transport": "udp", "numbers": ["+4930111111"],
        }),
    )?;
    let id = text(&made, "/id")?.to_owned();
    for _ in 0..100 {
        let trunk = client.get(&format!("{path}/{id}"))?;
        if text(&trunk, "/sync/state")? == "synced" {
            return Ok(id);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("LiveKit did not take the trunk {id} within 10 s")
}
