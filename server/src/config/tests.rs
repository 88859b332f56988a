//! Exact messages, because they are what a user sees; and no text panics.

use media_units::{Encoding, RoomSound, Selection};
use proptest::prelude::*;
use signaling_sdp::CodecChoice;

use super::*;

fn refused(text: &str) -> Vec<String> {
    Config::parse("mixminus.toml", text)
        .expect_err("this text is wrong")
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(Config::parse("f", "").unwrap(), Config::default());
}

#[test]
fn the_documentation_names_every_key() {
    crate::documented("configuration.md", &markdown());
}

#[test]
fn the_example_of_the_documentation_is_the_defaults() {
    let page = markdown();
    let examples: Vec<&str> =
        page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 2);
    assert_eq!(Config::parse("f", &examples.concat()).unwrap(), Config::default());
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    assert_eq!(
        refused("[sip]\nt1 = \"500ms\"\ncals_max = 5\n"),
        ["mixminus.toml:3: sip.cals_max: unknown key; did you mean calls_max?"]
    );
    assert_eq!(
        refused("[log]\nzzzzzzzz = 5\n"),
        ["mixminus.toml:2: log.zzzzzzzz: unknown key; known are level, format"]
    );
    let far = refused("[sip]\nfoo = 1\n").concat();
    assert!(
        far.starts_with("mixminus.toml:2: sip.foo: unknown key; known are udp, tcp, "),
        "{far}"
    );
    assert_eq!(
        refused("[sips]\nt1 = 5\n"),
        ["mixminus.toml:1: sips: unknown section; did you mean sip?"]
    );
}

#[test]
fn a_wrong_unit_is_refused_with_the_right_ones() {
    assert_eq!(
        refused("[sip]\nt1 = \"20\""),
        [
            "mixminus.toml:2: sip.t1 = \"20\": no duration (a whole number and one of h, min, s, ms, us, ns); write a duration from \"10ms\" to \"10s\""
        ]
    );
    assert_eq!(
        refused("[api]\nbody_max = \"16ms\""),
        [
            "mixminus.toml:2: api.body_max = \"16ms\": no size (a whole number and one of B, KiB, MiB, GiB); write a size from \"1KiB\" to \"1MiB\""
        ]
    );
}

#[test]
fn a_value_out_of_range_is_refused_with_the_range() {
    assert_eq!(
        refused("\n\n[rooms]\nmembers_max = 0"),
        [
            "mixminus.toml:4: rooms.members_max = 0: out of range; write a whole number from 1 to 16384"
        ]
    );
    assert_eq!(
        refused("[rtp]\nports = \"30000-20000\""),
        [
            "mixminus.toml:2: rtp.ports = \"30000-20000\": the first port is at least 1024 and below the last; write two ports, for example \"16384-32767\""
        ]
    );
}

#[test]
fn a_wrong_type_is_refused_with_the_right_one() {
    assert_eq!(
        refused("[sip]\ncalls_max = \"many\"\nudp = \"0.0.0.0:5060\""),
        [
            "mixminus.toml:2: sip.calls_max = \"many\": this is a string; write a whole number from 1 to 262144",
            "mixminus.toml:3: sip.udp = \"0.0.0.0:5060\": this is a string; write a list of addresses with ports, for example [\"192.0.2.1:5060\", \"[2001:db8::1]:5060\"]; [] for none",
        ]
    );
    assert_eq!(
        refused("sip = 3"),
        ["mixminus.toml:1: sip = 3: this is an integer; write a table: [sip]"]
    );
}

#[test]
fn a_duplicate_key_is_refused() {
    assert_eq!(
        refused("[sip]\nt1 = \"500ms\"\nt1 = \"400ms\"\n"),
        ["mixminus.toml:3: not valid TOML: duplicate key"]
    );
}

#[test]
fn a_text_that_is_no_toml_is_refused_at_its_line() {
    let problems = refused("[sip]\nt1 = = 3\n");
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("mixminus.toml:2: not valid TOML: "), "{problems:?}");
}

#[test]
fn playout_delays_end_where_the_playout_buffer_does() {
    Config::parse("f", "[rtp]\nplayout_delay_max = \"360ms\"").unwrap();
    for key in ["playout_delay_min", "playout_delay_max"] {
        let problems = refused(&format!("[rtp]\n{key} = \"361ms\""));
        assert!(problems[0].contains("to \"360ms\""), "{problems:?}");
    }
}

#[test]
fn a_level_of_the_log_that_is_none_is_no_filter_either() {
    for right in ["info", "OFF", "warn,signaling=debug", "mixminus[call]=trace"] {
        Config::parse("f", &format!("[log]\nlevel = \"{right}\"")).unwrap();
    }
    for wrong in ["", "info,", "loud", "info,signaling", "signaling=loud"] {
        let problems = refused(&format!("[log]\nlevel = \"{wrong}\""));
        assert!(problems[0].starts_with("mixminus.toml:2: log.level = "), "{problems:?}");
    }
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    assert_eq!(
        refused("[rtp]\nplayout_delay_max = \"40ms\"\nplayout_delay_min = \"60ms\""),
        [
            "mixminus.toml:3: rtp.playout_delay_min = \"60ms\": rtp.playout_delay_min (\"60ms\") is above rtp.playout_delay_max (\"40ms\"); write them the other way round"
        ]
    );
    assert_eq!(
        refused("[sip]\nudp = []\ntcp = []"),
        [
            "mixminus.toml:2: sip.udp = []: no address to listen on; write at least one in sip.udp or sip.tcp"
        ]
    );
    assert_eq!(
        refused("[sip]\nudp = [\"127.0.0.1:5060\", \"127.0.0.2:5060\"]"),
        [
            "mixminus.toml:2: sip.udp = [\"127.0.0.1:5060\", \"127.0.0.2:5060\"]: two UDP addresses of one family; write at most one of IPv4 and one of IPv6"
        ]
    );
    assert_eq!(
        refused("[rtp]\nshards = 3\ncores = [0, 1]"),
        ["mixminus.toml:2: rtp.shards = 3: more shards than cores; rtp.cores names 2"]
    );
    assert_eq!(
        refused("[rtp]\nports = \"20000-20002\"\nshards = 2"),
        [
            "mixminus.toml:2: rtp.ports = \"20000-20002\": too few for 2 shards; write a range of at least 5"
        ]
    );
    assert_eq!(
        refused("[rtp]\nadvertised = \"2001:db8::1\""),
        [
            "mixminus.toml:2: rtp.advertised = \"2001:db8::1\": not of the same family as rtp.address (0.0.0.0)"
        ]
    );
    assert_eq!(
        refused("[rtp]\naddress = \"0.0.0.0\"\ndriver = \"xdp\""),
        [
            "mixminus.toml:2: rtp.address = \"0.0.0.0\": this driver serves one interface; write an address of that interface"
        ]
    );
    for many in ["224.0.0.1", "255.255.255.255", "ff02::1"] {
        for key in ["rtp.address", "rtp.advertised", "sip.advertised"] {
            let (section, key) = key.split_once('.').unwrap();
            let why = refused(&format!("[{section}]\n{key} = \"{many}\"")).concat();
            assert!(why.contains("an address of many machines"), "{why}");
        }
        let many: IpAddr = many.parse().unwrap();
        let many = SocketAddr::new(many, 5060);
        for key in [format!("[sip]\nudp = [\"{many}\"]"), format!("[api]\nlisten = \"{many}\"")] {
            let why = refused(&key).concat();
            assert!(why.contains("an address of many machines"), "{why}");
        }
    }
}

#[test]
fn what_is_written_alone_is_compared_with_the_default_of_the_other() {
    assert_eq!(
        refused("[overload]\nrecordings_above = 10\n"),
        [
            "mixminus.toml:2: overload.recordings_above = 10: overload.complexity_above is 85 unless it is written; write at least 85, or overload.complexity_above, too"
        ]
    );
    assert_eq!(
        refused("[rtp]\nplayout_delay_min = \"310ms\"\n"),
        [
            "mixminus.toml:2: rtp.playout_delay_min = \"310ms\": rtp.playout_delay_max is \"300ms\" unless it is written; write at most \"300ms\", or rtp.playout_delay_max, too"
        ]
    );
    Config::parse("f", "[overload]\nrecordings_above = 85\n").unwrap();
}

#[test]
fn what_keys_are_wrong_together_is_said_beside_what_others_are_alone() {
    let wrong = refused("[sip]\nfoo = 1\nt1 = \"9s\"\nt2 = \"5s\"\ncalls_max = 0\n[bar]\n");
    let wrong: Vec<&str> =
        wrong.iter().map(|line| &line[.."mixminus.toml:2: sip.foo".len()]).collect();
    assert_eq!(
        wrong,
        [
            "mixminus.toml:2: sip.foo",
            "mixminus.toml:3: sip.t1 ",
            "mixminus.toml:5: sip.cal",
            "mixminus.toml:6: bar: un"
        ]
    );
    // What the other is meant to be is not known: the default is not it.
    for meant in ["[sip]\nt1 = \"9s\"\nt2 = 10", "[sip]\nt1 = \"9s\"\nt_2 = \"10s\""] {
        assert_eq!(refused(meant).len(), 1, "{meant}");
    }
    let meant = "[rtp]\ndriver = \"packet\"\nports = \"5060-6083\"\n[sipp]\nudp = []";
    assert_eq!(refused(meant).len(), 1, "a section misspelt");
}

#[test]
fn every_problem_of_a_file_is_named_in_the_order_of_its_lines() {
    let problems = refused(
        "[log]\nformat = \"xml\"\n[api]\nlisten = \"nowhere\"\n[dial]\n\"9\" = \"sauna\"\n[sip]\nt9 = 1\n",
    );
    assert_eq!(
        problems,
        [
            "mixminus.toml:2: log.format = \"xml\": \"xml\" is not known; write one of \"text\", \"json\"",
            "mixminus.toml:4: api.listen = \"nowhere\": no address with a port; write an address with a port, for example \"127.0.0.1:8080\", or \"off\"",
            "mixminus.toml:6: dial.9 = \"sauna\": \"sauna\" is not a service; use room, echo, tone or record; write \"pattern\" = \"service\", for example \"3000-3999\" = \"room\"",
            "mixminus.toml:8: sip.t9: unknown key; did you mean t1?",
        ]
    );
}

#[test]
fn the_dial_plan_is_replaced_as_a_whole_and_keeps_its_order() {
    let text = "[dial]\n\"7*\" = \"room\"\n\"11\" = \"tone\"\n\"3*\" = \"echo\"";
    let config = Config::parse("f", text).unwrap();
    let patterns: Vec<String> =
        config.dial.entries().iter().map(|(pattern, _)| pattern.to_string()).collect();
    assert_eq!(patterns, ["7*", "11", "3*"]);
    let empty = Config::parse("f", "[dial]\n").unwrap();
    assert!(empty.dial.entries().is_empty(), "it replaces them, too");
}

#[test]
fn a_bad_pattern_is_refused_with_what_can_be_dialled() {
    assert_eq!(
        refused("[dial]\n\"3999-3000\" = \"room\""),
        [
            "mixminus.toml:2: dial.3999-3000 = \"room\": \"3999-3000\" is not a range; write two numbers of equal length, as in 3000-3999; write \"pattern\" = \"service\", for example \"3000-3999\" = \"room\""
        ]
    );
}

#[test]
fn codecs_are_read_in_order_with_how_opus_is_sent() {
    let text = "[rtp]\ncodecs = [\"opus\", \"L16/16000\", \"PCMA\"]\ncodec_choice = \"ours\"\n\
                packet_time = \"40ms\"\n[rtp.opus]\nbit_rate = 24000\nrate = \"16kHz\"\n";
    let capabilities = Config::parse("f", text).unwrap().rtp.capabilities;
    assert_eq!(capabilities.encodings, [Encoding::Opus, Encoding::L16At16000, Encoding::Pcma]);
    assert_eq!(capabilities.choice, CodecChoice::Ours);
    let parameters = capabilities.parameters;
    assert_eq!((parameters.packet_time_ms, parameters.bit_rate), (40, 24_000));
    assert_eq!(parameters.playback_rate, 16_000);
    assert_eq!(
        refused("[rtp]\n[rtp.opus]\nbitrate = 1\n"),
        ["f.toml:3: rtp.opus.bitrate: unknown key; did you mean bit_rate?"
            .replace("f.toml", "mixminus.toml")]
    );
    assert_eq!(
        refused("[rtp]\nopus = 3\n"),
        ["mixminus.toml:2: rtp.opus = 3: this is an integer; write a table: [rtp.opus]"]
    );
}

#[test]
fn what_is_recorded_is_said_for_rooms_and_endpoints() {
    let text = "[rooms]\nrecord = \"always\"\n[[room]]\nname = \"board\"\nrecord = \"never\"\n\
                [[room]]\nname = \"3*\"\n[[endpoint]]\nuser = \"boss\"\nmay_record = true\n\
                [[endpoint]]\nuser = \"4*\"\nrecord = true\n[recording]\nkeys = \"*1\"\n";
    let config = Config::parse("f", text).unwrap();
    assert_eq!(config.rooms.record, Occasion::Always);
    let occasions: Vec<Occasion> = config.named_occasions.iter().map(|rule| rule.1).collect();
    assert_eq!(occasions, [Occasion::Never, Occasion::Always], "left out: as in [rooms]");
    let rights = |index: usize| {
        let rule: &EndpointRule = &config.endpoints[index];
        (rule.encodings.len(), rule.may_record, rule.is_recorded)
    };
    assert_eq!((rights(0), rights(1)), ((0, true, false), (0, false, true)));
    assert_eq!(config.recording.keys.as_deref(), Some("*1"));
    assert_eq!(
        refused("[recording]\nkeys = \"*x\"\n"),
        [
            "mixminus.toml:2: recording.keys = \"*x\": not only keys; write \"off\", or up to 8 keys of 0-9, *, #, A-D, for example \"*1\""
        ]
    );
}

#[test]
fn keys_that_would_never_count_beside_others_are_refused() {
    let keys = |record: &str, pause: &str, mark: &str| {
        format!(
            "[recording]\nkeys = \"{record}\"\npause_keys = \"{pause}\"\nmark_keys = \"{mark}\"\n"
        )
    };
    assert_eq!(
        refused(&keys("*1", "*1", "*1")),
        [
            "mixminus.toml:3: recording.pause_keys = \"*1\": the same keys as recording.keys; write others",
            "mixminus.toml:4: recording.mark_keys = \"*1\": the same keys as recording.keys; write others",
        ]
    );
    assert_eq!(
        refused(&keys("*12", "off", "*1")),
        [
            "mixminus.toml:2: recording.keys = \"*12\": recording.mark_keys (\"*1\") counts before these are pressed to their end; write keys that have those at their end only, or not at all"
        ]
    );
    assert_eq!(refused(&keys("off", "1", "*11")).len(), 1, "within");
    for (record, pause, mark) in [("1", "*1", "**1"), ("*1", "*2", "*3"), ("off", "off", "off")] {
        Config::parse("f", &keys(record, pause, mark)).unwrap();
    }
}

#[test]
fn endpoints_have_codecs_of_their_own_in_the_order_of_their_tables() {
    let text = "[[endpoint]]\nnetwork = \"192.0.2.0/24\"\ncodecs = [\"PCMA\"]\n\
                [[endpoint]]\nuser = \"30*\"\ncodecs = [\"GSM\", \"PCMU\"]\n";
    let endpoints = Config::parse("f", text).unwrap().endpoints;
    assert_eq!(endpoints.len(), 2);
    assert_eq!(endpoints[0].network.unwrap().to_string(), "192.0.2.0/24");
    assert_eq!(endpoints[1].user.as_ref().unwrap().to_string(), "30*");
    assert_eq!(endpoints[1].encodings, [Encoding::Gsm, Encoding::Pcmu]);
    let built =
        "a list, each one of \"opus\", \"G722\", \"PCMU\", \"PCMA\", \"G726-32\", \"GSM\", \
                 \"iLBC\", \"L16/8000\", \"L16/16000\", \"L16/44100\", \"L16/48000\""
            .to_owned();
    let built = built + if Encoding::G729_IF_BUILT_IN.is_some() { ", \"G729\"" } else { "" };
    assert_eq!(
        refused(
            "[[endpoint]]\ncodecs = [\"PCMA\"]\n\n[[endpoint]]\nuser = \"7\"\n\n[[endpoint]]\nnetwork = \"here\"\ncodecs = [\"mp3\"]\ncodec = 1"
        ),
        [
            "mixminus.toml:1: endpoint: for nobody; write network or user",
            "mixminus.toml:4: endpoint: says nothing; write codecs, may_record or record",
            "mixminus.toml:7: endpoint: for nobody; write network or user",
            "mixminus.toml:8: endpoint.network = \"here\": no network; write an address or a network, for example \"192.0.2.0/24\"",
            &format!(
                "mixminus.toml:9: endpoint.codecs = [\"mp3\"]: \"mp3\" is not known; write {built}"
            ),
            "mixminus.toml:10: endpoint.codec: unknown key; did you mean codecs?",
        ]
    );
    let g729 = "[rtp]\ncodecs = [\"PCMA\", \"G729\"]\n";
    match Encoding::G729_IF_BUILT_IN {
        Some(g729_encoding) => {
            let encodings = Config::parse("f", g729).unwrap().rtp.capabilities.encodings;
            assert_eq!(encodings, [Encoding::Pcma, g729_encoding]);
        }
        None => assert_eq!(
            refused(g729),
            [format!(
                "mixminus.toml:2: rtp.codecs = [\"PCMA\", \"G729\"]: \"G729\" needs a server built with \
                 the feature g729; write {built}"
            )]
        ),
    }
    assert_eq!(
        refused("endpoint = 3\n"),
        ["mixminus.toml:1: endpoint = 3: this is an integer; write tables: [[endpoint]]"]
    );
}

#[test]
fn an_endpoint_that_is_as_usual_is_an_exception_from_the_tables_after_it() {
    let text = "[[endpoint]]\nuser = \"guest\"\nmay_record = false\n\
                [[endpoint]]\nuser = \"lobby\"\ncodecs = []\n\
                [[endpoint]]\nuser = \"g*\"\nrecord = true\n";
    let endpoints = Config::parse("f", text).unwrap().endpoints;
    let rights = |rule: &EndpointRule| (rule.encodings.len(), rule.may_record, rule.is_recorded);
    let rights: Vec<_> = endpoints.iter().map(rights).collect();
    assert_eq!(rights, [(0, false, false), (0, false, false), (0, false, true)]);
    assert!(refused("[rtp]\ncodecs = []\n")[0].contains("rtp.codecs = []: empty; write a list"));
}

#[test]
fn a_room_by_name_is_as_all_rooms_but_for_what_it_says() {
    let text = "[rooms]\nselection = 3\nautomatic_gain = \"-20dBov\"\nlimiter = false\n\
                [[room]]\nname = \"hall*\"\nselection = \"everyone\"\nnoise_gate = \"-60dBov\"\n";
    let config = Config::parse("f", text).unwrap();
    let usual = RoomSound {
        selection: Selection::Loudest(3),
        automatic_gain_dbov: Some(20),
        limiter: false,
        ..RoomSound::DEFAULT
    };
    assert_eq!(config.rooms.sound, usual);
    let hall = RoomSound { selection: Selection::Everyone, noise_gate_dbov: Some(60), ..usual };
    assert_eq!(config.named_rooms.len(), 1);
    assert_eq!(config.named_rooms[0].sound, hall);
    assert_eq!(
        refused("[rooms]\nselection = 0\nautomatic_gain = \"20\"\n[[room]]\nlimiter = true\n"),
        [
            "mixminus.toml:2: rooms.selection = 0: out of range; write \"everyone\", or a whole number from 1 to 64",
            "mixminus.toml:3: rooms.automatic_gain = \"20\": no level; write \"off\", or a level from \"-40dBov\" to \"-10dBov\"",
            "mixminus.toml:4: room: for no room; write name",
        ]
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = Config::parse("f", &text);
    }

    #[test]
    fn no_toml_panics(
        section in "sip|rtp|rtp.opus|rooms|dial|recording|api|log|endpoint|room|x",
        key in "udp|t1|network|user|selection|noise_gate|opus|calls_max|ports|cores|shards|codecs|listen|level|max|folder|[a-z]{1,4}",
        value in r#"-?[0-9]{1,25}|"[^"\\\n]{0,20}"|\[("[^"\\\n]{0,9}",?)?\]|\{\}|true|1\.5|1979-05-27|inf"#,
        cut in 0usize..80,
    ) {
        let text = format!("[{section}]\n{key} = {value}\n[[{section}]]\n{key} = {value}\n");
        let _ = Config::parse("f", &text);
        let text = format!("[{section}]\n{key} = {value}\n");
        let _ = Config::parse("f", &text);
        let _ = Config::parse("f", text.get(..cut.min(text.len())).unwrap_or_default());
    }
}

#[test]
fn what_would_keep_the_server_from_starting_is_refused_where_it_is_written() {
    for (text, why) in [
        ("[recording.keep]\nencrypted_for = [\"age1notakey\"]\n", "no public key of age"),
        ("[recording.webhook]\nurls = [\"ftp://example.org\"]\n", "no URL of HTTP"),
        (
            "[recording.upload]\nbucket = \"b\"\nendpoint = \"http://192.0.2.1:9000\"\n",
            "plain HTTP to another machine",
        ),
        (
            "[recording]\nannouncement = \"/nowhere/said.wav\"\n",
            "mixminus.toml:2: recording.announcement = \"/nowhere/said.wav\": No such file",
        ),
        ("[api]\nhosts = [\"https://pbx.example.org\"]\n", "no host name"),
    ] {
        let wrong = refused(text).concat();
        assert!(wrong.contains(why), "{wrong}");
    }
}

#[test]
fn a_driver_that_steers_the_media_ports_leaves_sip_its_own() {
    let text = |driver: &str, address: &str, sip: &str| {
        format!(
            "[sip]\nudp = [\"{sip}\"]\n[rtp]\ndriver = \"{driver}\"\naddress = \"{address}\"\n\
             ports = \"5060-6083\"\n"
        )
    };
    for driver in ["packet", "packet-or-sockets", "xdp", "xdp-or-sockets"] {
        let refused = refused(&text(driver, "192.0.2.1", "0.0.0.0:5060"));
        assert_eq!(refused.len(), 1);
        assert!(refused[0].contains("rtp.ports = \"5060-6083\""), "{refused:?}");
        assert!(refused[0].contains("port 5060 is that of sip.udp"), "{refused:?}");
    }
    for (address, sip) in [("0.0.0.0", "192.0.2.1:5060"), ("::", "192.0.2.1:6083")] {
        assert_eq!(refused(&text("packet", address, sip)).len(), 1, "{address} {sip}");
    }
    for (driver, address, sip) in [
        ("auto", "0.0.0.0", "0.0.0.0:5060"),
        ("packet", "0.0.0.0", "0.0.0.0:5059"),
        ("packet", "192.0.2.1", "192.0.2.2:5060"),
        ("packet", "192.0.2.1", "[::]:5060"),
        ("packet", "0.0.0.0", "[::]:5060"),
        ("packet", "0.0.0.0", "[2001:db8::1]:5060"),
    ] {
        assert!(
            Config::parse("f", &text(driver, address, sip)).is_ok(),
            "{driver} {address} {sip}"
        );
    }
    // The first even port is the first that is steered.
    let odd = text("packet", "0.0.0.0", "0.0.0.0:5061").replace("5060-6083", "5061-6083");
    assert!(Config::parse("f", &odd).is_ok());
}

#[test]
fn the_api_and_sip_do_not_listen_on_one_port() {
    let text =
        |api: &str, sip: &str| format!("[sip]\ntcp = [\"{sip}\"]\n[api]\nlisten = \"{api}\"\n");
    assert_eq!(
        refused(&text("127.0.0.1:5060", "0.0.0.0:5060")),
        [
            "mixminus.toml:4: api.listen = \"127.0.0.1:5060\": api.listen (127.0.0.1:5060) and sip.tcp (0.0.0.0:5060) are the same port; write another in one of them"
        ]
    );
    assert_eq!(refused("[sip]\ntcp = [\"0.0.0.0:8080\"]\n").len(), 1, "the default of the other");
    assert_eq!(refused(&text("[::]:5060", "192.0.2.1:5060")).len(), 1, "also of IPv4");
    for (api, sip) in [
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:5061", "127.0.0.1:5060"),
        ("127.0.0.1:5060", "192.0.2.1:5060"),
        ("127.0.0.1:5060", "[::]:5060"),
        ("off", "127.0.0.1:5060"),
    ] {
        Config::parse("f", &text(api, sip)).unwrap();
    }
}

#[test]
fn ports_are_for_as_many_shards_as_there_are_cores() {
    let refused = refused("[rtp]\ncores = [0, 1]\nports = \"10000-10002\"\n");
    assert_eq!(refused.len(), 1);
    assert!(refused[0].contains("too few for 2 shards"), "{refused:?}");
}
