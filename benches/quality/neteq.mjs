// Gives WebRTC's NetEQ the packets of a trace at their times, and keeps what it plays.
//
//   node neteq.mjs PACKETS CODEC CLOCK_RATE AUDIO_CHANNELS OUTPUT.raw
//
// PACKETS is the packets.txt of quality-play. The receiver is libwebrtc (npm @roamhq/wrtc), the sender
// writes the same RTP payloads at the trace's times of arrival (npm werift); both over loopback. Prints one JSON
// object: the rate and the beginning of the sound in OUTPUT.raw (16 bits, one audio channel), and what the
// receiver's statistics say.

import fs from 'node:fs';
import wrtc from '@roamhq/wrtc';
import {
  MediaStreamTrack, RTCPeerConnection, RTCRtpCodecParameters, RtpHeader, RtpPacket,
} from 'werift';

const [packetsFile, codec, clockRate, audioChannels, outputFile] = process.argv.slice(2);
const LEAD_MS = 100; // the trace's time 0 is here, as in quality-play
const packets = fs.readFileSync(packetsFile, 'utf8').trim().split('\n').map((line, number) => {
  const [sent, arrival, payload] = line.split(' ');
  return { number, sent: sent / 1000, arrival: arrival === 'lost' ? null : arrival / 1000, payload };
});

const now = () => Number(process.hrtime.bigint()) / 1e6;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function connect() {
  const payloadType = { PCMU: 0, PCMA: 8, G722: 9 }[codec] ?? 111;
  const sender = new RTCPeerConnection({
    codecs: { audio: [new RTCRtpCodecParameters({
      mimeType: `audio/${codec}`, clockRate: +clockRate, channels: +audioChannels, payloadType,
      parameters: codec === 'opus' ? 'minptime=10;useinbandfec=1' : undefined,
    })] },
    iceServers: [],
    iceAdditionalHostAddresses: ['127.0.0.1'],
  });
  const receiver = new wrtc.RTCPeerConnection({ iceServers: [] });
  const track = new MediaStreamTrack({ kind: 'audio' });
  sender.addTransceiver(track, { direction: 'sendonly' });
  sender.onIceCandidate.subscribe((candidate) => {
    if (candidate) receiver.addIceCandidate(candidate.toJSON()).catch(() => {});
  });
  receiver.onicecandidate = ({ candidate }) => {
    if (candidate) sender.addIceCandidate(candidate).catch(() => {});
  };
  const heard = new Promise((resolve) => { receiver.ontrack = (event) => resolve(event.track); });
  await sender.setLocalDescription(await sender.createOffer());
  await receiver.setRemoteDescription({ type: 'offer', sdp: sender.localDescription.sdp });
  await receiver.setLocalDescription(await receiver.createAnswer());
  await sender.setRemoteDescription(receiver.localDescription);
  const remote = await heard;
  for (let waited = 0; sender.connectionState !== 'connected'; waited += 20) {
    if (waited > 10000) throw new Error(`not connected: ${sender.connectionState}`);
    await sleep(20);
  }
  return { sender, receiver, track, remote, payloadType };
}

/** Frames as they are played, each with its time. */
function record(remote) {
  const frames = [];
  const sink = new wrtc.nonstandard.RTCAudioSink(remote);
  sink.ondata = (data) => {
    frames.push({ at: now(), rate: data.sampleRate, count: data.channelCount, samples: Int16Array.from(data.samples) });
  };
  return { frames, sink };
}

/** Writes the packets at their times, half a millisecond more or less: timers count whole ones. */
async function play({ track, payloadType, receiver }, begin) {
  const arriving = packets.filter((packet) => packet.arrival !== null).sort((a, b) => a.arrival - b.arrival);
  let [late, atBegin] = [0, null];
  for (const packet of arriving) {
    const due = begin + packet.arrival;
    const ahead = Math.floor(due - now() - 0.5);
    if (ahead > 0) await sleep(ahead);
    late = Math.max(late, now() - due);
    const header = new RtpHeader({
      payloadType, sequenceNumber: (65000 + packet.number) & 0xffff, ssrc: 0x1234,
      timestamp: (100000 + packet.number * clockRate / 50) >>> 0, marker: packet.number === 0,
    });
    track.writeRtp(new RtpPacket(header, Buffer.from(packet.payload, 'hex')));
    // What it invents before there is anything to play counts for nothing.
    if (packet === arriving[0]) atBegin = sleep(100).then(() => statistics(receiver));
  }
  const [before, after] = [await atBegin, await statistics(receiver)];
  return { late, since: Object.fromEntries(COUNTERS.map((name) => [name, after[name] - before[name]])) };
}

const COUNTERS = [
  'jitterBufferDelay', 'jitterBufferEmittedCount', 'totalSamplesReceived', 'concealedSamples',
  'silentConcealedSamples', 'concealmentEvents', 'insertedSamplesForDeceleration',
  'removedSamplesForAcceleration', 'packetsReceived', 'packetsDiscarded',
];

async function statistics(receiver) {
  for (const [, entry] of await receiver.getStats()) {
    if (entry.type === 'inbound-rtp') return entry;
  }
  throw new Error('no statistics');
}

const connected = await connect();
const { frames, sink } = record(connected.remote);
await sleep(300);
const begin = now() - LEAD_MS + 50;
const { late, since } = await play(connected, begin);
await sleep(1200);
sink.stop();

const { rate } = frames[frames.length - 1];
const first = frames.findIndex((frame) => frame.at >= begin + LEAD_MS);
// Frames come every 10 ms; when each is heard is told by all together, not by one timer's whim.
const offsets = frames.slice(first).map((frame, index) => frame.at - 10 * index).sort((a, b) => a - b);
// One audio channel of each; before there is anything to decode the rate is another, and all is silence.
const heard = (frame) => (frame.rate === rate
  ? frame.samples.filter((_, index) => index % frame.count === 0) : new Int16Array(rate / 100));
const octets = (samples) => Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
fs.writeFileSync(outputFile, Buffer.concat(frames.slice(first).map((frame) => octets(heard(frame)))));
console.log(JSON.stringify({
  rate,
  begin_ms: offsets[offsets.length >> 1] - begin - LEAD_MS,
  feeder_late_ms: late,
  frames_astray_ms: offsets[offsets.length - 1] - offsets[0],
  ...since,
}));
connected.receiver.close();
await connected.sender.close();
process.exit(0);
