//! Real telephony: livekit-sip, and sipp as carrier, callee and caller. These tests run if both are on PATH;
//! `cargo xtask test` reports if they are not.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::net::UdpSocket;

use super::World;
use crate::support::{Fixture, Process, environment, eventually, free_port, id};

const CALLEE: &str = "+4930222222";

/// A world with a SIP service.
struct Exchange {
    world: World,
    sip_port: u16,
    _sip: Process,
}

impl Exchange {
    async fn start() -> Self {
        let world = World::start_with(true, &["--outbound-allow=127.0.0.0/8"]).await;
        let (sip_port, rtp_port) = (free_port(), free_port().min(60_000));
        let config = json!({
            "api_key": environment("LIVEKIT_KEY"),
            "api_secret": environment("LIVEKIT_SECRET"),
            "ws_url": format!("ws://127.0.0.1:{}", world.livekit_port),
            "redis": { "address": format!("127.0.0.1:{}", world.valkey_port) },
            "sip_port": sip_port,
            "rtp_port": format!("{rtp_port}-{}", rtp_port + 400),
            "listen_ip": "127.0.0.1",
            "local_net": "127.0.0.0/8",
            "nat_1_to_1_ip": "127.0.0.1",
            "max_cpu_utilization": 1.0,
            "logging": { "level": "info" },
        });
        let file = PathBuf::from(environment("FOLDER")).join(format!("sip-{sip_port}.json"));
        std::fs::write(&file, config.to_string()).unwrap();
        let mut sip = Process::start("livekit-sip", "livekit-sip", |command| {
            command.arg("--config").arg(&file);
        });
        sip.wait_for("signaling listening");
        Self {
            world,
            sip_port,
            _sip: sip,
        }
    }

    async fn tenant(&self, slug: &str) -> Fixture {
        Fixture::make(&self.world.base, slug).await
    }
}

/// Runs sipp with a scenario; `more` are further arguments.
fn sipp(scenario: &str, port: u16, rtp: u16, more: &[&str]) -> Process {
    let file = PathBuf::from(environment("FOLDER")).join(format!("sipp-{port}.xml"));
    std::fs::write(&file, scenario).unwrap();
    Process::start("sipp", "sipp", |command| {
        command
            .arg("-sf")
            .arg(&file)
            .args(["-i", "127.0.0.1", "-p", &port.to_string(), "-m", "1"])
            .args(["-key", "rtp", &rtp.to_string()])
            .args(["-nostdin", "-timeout", "60s", "-timeout_error"])
            .args(more);
    })
}

fn callee(end: &str) -> String {
    include_str!("sipp/callee.xml").replace("@END@", end)
}

/// A carrier with this scenario, and the tenant's trunk to it.
async fn carrier(fixture: &Fixture, scenario: &str, rtp: u16) -> (Process, Value) {
    let port = free_port();
    let carrier = sipp(scenario, port, rtp, &[]);
    let body = json!({
        "name": format!("carrier {port}"), "address": format!("127.0.0.1:{port}"), "transport": "udp",
        "numbers": ["+4930111111"],
    });
    let path = fixture.at("sip-trunks");
    let made = fixture.admin.post(&path, &body).await.expect(201);
    let path = format!("{path}/{}", id(&made));
    let trunk = eventually("the trunk", async || {
        let trunk = fixture.admin.get(&path).await.expect(200);
        (trunk["sync"]["state"] == "synced").then_some(trunk)
    })
    .await;
    (carrier, trunk)
}

async fn call(fixture: &Fixture, trunk: &Value) -> Value {
    let body = json!({
        "agent_id": fixture.agent, "to": CALLEE, "trunk_id": trunk["id"], "start": true,
        "variables": { "company": "Acme" }, "ring_timeout_seconds": 6,
    });
    let path = fixture.at("calls");
    fixture.admin.post(&path, &body).await.expect(201)
}

async fn becomes(fixture: &Fixture, call: &Value, state: &str) -> Value {
    let path = fixture.at(&format!("calls/{}", id(call)));
    eventually(state, async || {
        let call = fixture.admin.get(&path).await.expect(200);
        (call["state"] == state).then_some(call)
    })
    .await
}

async fn stop(fixture: &Fixture, call: &Value) -> Value {
    let path = fixture.at(&format!("calls/{}/stop", id(call)));
    fixture.admin.act(&path).await.expect(200)
}

fn finishes(mut carrier: Process) {
    let status = carrier.wait();
    let said = || std::fs::read_to_string(&carrier.log).unwrap_or_default();
    assert!(status.success(), "sipp: {}", said());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs livekit-sip and sipp"]
async fn calls_out_come_out_as_the_carrier_says() {
    let exchange = Exchange::start().await;
    let fixture = exchange.tenant("acme").await;
    for (status, code, reason) in [
        ("486 Busy Here", 486, "busy"),
        ("603 Decline", 603, "declined"),
        ("404 Not Found", 404, "invalid_number"),
        ("503 Service Unavailable", 503, "trunk_failure"),
    ] {
        let scenario = include_str!("sipp/refuses.xml").replace("@STATUS@", status);
        let (carrier, trunk) = carrier(&fixture, &scenario, 9).await;
        let made = call(&fixture, &trunk).await;
        let failed = becomes(&fixture, &made, "failed").await;
        assert_eq!(
            (&failed["end_reason"], &failed["sip_status"]),
            (&json!(reason), &json!(code)),
            "{failed}"
        );
        finishes(carrier);
    }
    let (silent, trunk) = carrier(&fixture, include_str!("sipp/rings.xml"), 9).await;
    let made = call(&fixture, &trunk).await;
    assert_eq!(
        becomes(&fixture, &made, "failed").await["end_reason"],
        "no_answer"
    );
    finishes(silent);
    let (silent, trunk) = carrier(&fixture, include_str!("sipp/rings.xml"), 9).await;
    let made = call(&fixture, &trunk).await;
    becomes(&fixture, &made, "ringing").await;
    assert_eq!(stop(&fixture, &made).await["state"], "canceled");
    finishes(silent);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs livekit-sip and sipp"]
async fn an_answered_call_is_hung_up_from_either_side_and_hears_keys() {
    let exchange = Exchange::start().await;
    let fixture = exchange.tenant("acme").await;
    let (telephone, trunk) = carrier(&fixture, &callee(include_str!("sipp/bye.xml")), 9).await;
    let made = call(&fixture, &trunk).await;
    let answered = becomes(&fixture, &made, "answered").await;
    assert!(answered["ringing_at"].is_string(), "{answered}");
    let ended = becomes(&fixture, &made, "ended").await;
    assert_eq!(
        (&ended["end_reason"], &ended["hangup_by"]),
        (&json!("callee_hangup"), &json!("callee"))
    );
    assert!(ended["talk_seconds"].as_f64().unwrap() > 2.0, "{ended}");
    finishes(telephone);

    let media = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let rtp = media.local_addr().unwrap().port();
    let (telephone, trunk) = carrier(&fixture, &callee(include_str!("sipp/wait.xml")), rtp).await;
    let made = call(&fixture, &trunk).await;
    becomes(&fixture, &made, "answered").await;
    let path = fixture.at(&format!("calls/{}/dtmf", id(&made)));
    let pressed = fixture
        .admin
        .post(&path, &json!({ "digits": "5" }))
        .await
        .expect(200);
    assert_eq!(pressed["status"], "succeeded", "{pressed}");
    // Payload type 101 is a telephone event (RFC 4733); its first byte is the key.
    let key = tokio::time::timeout(Duration::from_secs(10), async {
        let mut packet = [0; 2048];
        loop {
            let length = media.recv(&mut packet).await.unwrap();
            if length > 12 && packet[1] & 0x7f == 101 {
                break packet[12];
            }
        }
    });
    assert_eq!(key.await.expect("a key is heard"), 5);
    let stopped = stop(&fixture, &made).await;
    assert_eq!(
        (&stopped["state"], &stopped["hangup_by"]),
        (&json!("ended"), &json!("us"))
    );
    finishes(telephone);
}

/// A mapping that accepts calls from this machine.
async fn mapping(fixture: &Fixture, number: &str) -> Value {
    let made = fixture.mapping(number).await;
    let path = fixture.at(&format!("inbound-mappings/{made}"));
    let patch = json!({ "allowed_addresses": ["127.0.0.0/8"] });
    fixture.admin.patch(&path, &patch).await.expect(200);
    eventually("the mapping", async || {
        let mapping = fixture.admin.get(&path).await.expect(200);
        (mapping["sync"]["state"] == "synced").then_some(mapping)
    })
    .await
}

/// µ-law to linear and back, as far as needed for a tone (ITU-T G.711).
fn linear(byte: u8) -> f64 {
    let byte = !byte;
    let (exponent, mantissa) = ((byte >> 4) & 7, byte & 15);
    let magnitude = (((i32::from(mantissa) << 3) + 132) << exponent) - 132;
    f64::from(if byte & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    })
}

fn mulaw(sample: f64) -> u8 {
    let candidates = (0..=255).map(|byte| (byte, (linear(byte) - sample).abs()));
    let nearest = candidates.min_by(|a, b| a.1.total_cmp(&b.1));
    nearest.map_or(0xff, |(byte, _)| byte)
}

/// The share of a frequency in some samples at 8 kHz (Goertzel).
fn share(samples: &[f64], frequency: f64) -> f64 {
    let total: f64 = samples.iter().map(|s| s * s).sum();
    let step = 2.0 * std::f64::consts::PI * frequency / 8000.0;
    let (mut a, mut b) = (0.0, 0.0);
    for sample in samples {
        (a, b) = (sample + 2.0 * step.cos() * a - b, a);
    }
    let power = a * a + b * b - 2.0 * step.cos() * a * b;
    if total < samples.len() as f64 * 10_000.0 {
        return 0.0;
    }
    power * 2.0 / (total * samples.len() as f64)
}

/// Sends a tone of 400 Hz (eight whole waves in a packet) to the first sender; returns once the tone is echoed.
async fn hears_itself(media: UdpSocket) {
    let mut tone = [0; 160];
    for (n, byte) in tone.iter_mut().enumerate() {
        *byte = mulaw(8000.0 * (n as f64 * std::f64::consts::TAU * 400.0 / 8000.0).sin());
    }
    let (mut peer, mut heard): (Option<SocketAddr>, Vec<f64>) = (None, Vec::new());
    let (mut packet, mut sequence) = ([0; 2048], 0u16);
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    loop {
        tokio::select! {
            received = media.recv_from(&mut packet) => {
                let (length, from) = received.unwrap();
                peer = Some(from);
                if packet[1] & 0x7f == 0 {
                    heard.extend(packet[12..length].iter().map(|byte| linear(*byte)));
                }
                if heard.len() >= 1600 {
                    if share(&heard, 400.0) > 0.4 {
                        return;
                    }
                    heard.clear();
                }
            }
            _ = tick.tick() => {
                let Some(peer) = peer else { continue };
                sequence += 1;
                let mut rtp = vec![0x80, 0];
                rtp.extend(sequence.to_be_bytes());
                rtp.extend((u32::from(sequence) * 160).to_be_bytes());
                rtp.extend(4711u32.to_be_bytes());
                rtp.extend(tone);
                media.send_to(&rtp, peer).await.unwrap();
            }
        }
    }
}

/// A caller of a number, who hears its own tone and hangs up.
async fn caller(exchange: &Exchange, number: &str) -> (Process, tokio::task::JoinHandle<()>) {
    let media = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let rtp = media.local_addr().unwrap().port();
    let to = format!("127.0.0.1:{}", exchange.sip_port);
    let more = [&*to, "-s", number, "-d", "12000"];
    let caller = sipp(include_str!("sipp/caller.xml"), free_port(), rtp, &more);
    (caller, tokio::spawn(hears_itself(media)))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs livekit-sip and sipp"]
async fn two_tenants_are_called_at_once_and_each_caller_hears_its_agent() {
    let exchange = Exchange::start().await;
    let tenants = [exchange.tenant("one").await, exchange.tenant("two").await];
    let numbers = ["+4930123451", "+4930123452"];
    for (tenant, number) in tenants.iter().zip(numbers) {
        mapping(tenant, number).await;
    }
    let callers = join_all(numbers.iter().map(|number| caller(&exchange, number))).await;
    for (sipp, heard) in callers {
        tokio::time::timeout(Duration::from_secs(30), heard)
            .await
            .expect("the caller hears its own voice")
            .unwrap();
        finishes(sipp);
    }
    for (tenant, number) in tenants.iter().zip(numbers) {
        let calls = tenant.at("calls");
        let ended = eventually("the end", async || {
            let page = tenant.admin.get(&calls).await.expect(200);
            assert_eq!(page["data"].as_array().unwrap().len(), 1, "{page}");
            let call = page["data"][0].clone();
            (call["state"] == "ended").then_some(call)
        })
        .await;
        assert_eq!(
            (&ended["to"], &ended["from"]),
            (&json!(number), &json!("+4930777777"))
        );
        assert_eq!(
            (&ended["end_reason"], &ended["hangup_by"]),
            (&json!("caller_hangup"), &json!("caller"))
        );
        assert!(ended["answered_at"].is_string() && ended["ringing_at"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs livekit-sip and sipp"]
async fn nobody_answers_an_unknown_number_or_a_disabled_mapping() {
    let exchange = Exchange::start().await;
    let tenant = exchange.tenant("acme").await;
    let disabled = mapping(&tenant, "+4930123453").await;
    let path = tenant.at(&format!("inbound-mappings/{}", id(&disabled)));
    let off = json!({ "enabled": false });
    tenant.admin.patch(&path, &off).await.expect(200);
    tokio::time::sleep(Duration::from_secs(2)).await;
    for number in ["+4930123453", "+4930999999"] {
        let to = format!("127.0.0.1:{}", exchange.sip_port);
        let more = [&*to, "-s", number, "-d", "1000"];
        let _caller = sipp(include_str!("sipp/caller.xml"), free_port(), 9, &more);
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    for what in ["calls", "sessions"] {
        let page = tenant.admin.get(&tenant.at(what)).await.expect(200);
        assert!(
            page["data"].as_array().unwrap().is_empty(),
            "{what}: {page}"
        );
    }
}
