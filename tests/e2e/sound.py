"""G.711 mu-law and what is in a sound, for tests."""

import cmath
import math
import struct

SAMPLE_RATE = 8000
FRAME = 160


def encode(sample):
    """One mu-law octet of a 16-bit sample (ITU-T G.711)."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32635) + 132
    exponent = magnitude.bit_length() - 8
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return ~(sign | (exponent << 4) | mantissa) & 0xFF


def decode(octet):
    """The sample of one mu-law octet."""
    octet = ~octet & 0xFF
    magnitude = (((octet & 0x0F) << 3) + 132 << (octet >> 4 & 7)) - 132
    return -magnitude if octet & 0x80 else magnitude


DECODED = [decode(octet) for octet in range(256)]


def tone(frequency, seconds, amplitude=6000):
    """A tone as mu-law octets."""
    count = int(seconds * SAMPLE_RATE)
    step = 2 * math.pi * frequency / SAMPLE_RATE
    return bytes(encode(round(amplitude * math.sin(step * n))) for n in range(count))


# Levels of a tone of the usual amplitude where it is heard, even with holes in it on a busy machine, and where it is not.
HEARD = 1500
UNHEARD = 60

# Levels of the 20 ms of syllables below that of the voice, in dB: four in a second, and a word's end.
SYLLABLES = (0, 2, 3, 6, 12, 20, 25, 9, 2, 0, 1, 4, 8, 15, 22, 30, 35, 35, 14, 3, 1, 2, 7, 16)


def voice(seconds, amplitude=6000):
    """Something that a detector of voices takes for one, as mu-law octets: the harmonics of 125 Hz, weaker
    the higher they are, in syllables. A tone is none."""
    step = 2 * math.pi * 125 / SAMPLE_RATE
    period = [sum(math.sin(k * step * n) / k for k in range(1, 25)) for n in range(SAMPLE_RATE // 125)]
    frames = range(int(seconds * SAMPLE_RATE) // FRAME)
    gains = [amplitude * 10 ** (-SYLLABLES[frame % len(SYLLABLES)] / 20) for frame in frames]
    return bytes(
        encode(round(gains[frame] * period[(frame * FRAME + n) % len(period)])) for frame in frames for n in range(FRAME))


def level(octets, frequency):
    """Amplitude of `frequency` in mu-law octets (one bin of a Fourier transform)."""
    return level_of([DECODED[octet] for octet in octets], frequency)


def level_of(samples, frequency, sample_rate=SAMPLE_RATE):
    """Amplitude of `frequency` in samples."""
    if not samples:
        return 0.0
    turn = cmath.exp(-2j * math.pi * frequency / sample_rate)
    sum_, phase = 0j, 1 + 0j
    for sample in samples:
        sum_ += sample * phase
        phase *= turn
    return 2 * abs(sum_) / len(samples)


def loudest(samples, frequency, sample_rate=SAMPLE_RATE):
    """The amplitude of `frequency` in the quarter of a second in which it is loudest: what a busy machine does to the others does not count."""
    window = sample_rate // 4
    starts = range(0, len(samples) - window + 1, window)
    return max((level_of(samples[at:at + window], frequency, sample_rate) for at in starts), default=0.0)


def wav(samples, sample_rate=SAMPLE_RATE):
    """A mono 16-bit WAV file."""
    data = struct.pack(f"<{len(samples)}h", *samples)
    form = struct.pack("<HHIIHH", 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks
