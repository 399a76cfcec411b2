// What a QUIC client sends to begin a connection: ClientHellos, frames, and Initial packets with their
// protection, to be taken apart by what is tested.
#pragma once

#include <nettle/aes.h>
#include <nettle/gcm.h>

#include <array>
#include <string_view>
#include <vector>

#include "base/bytes.hh"
#include "wire/quic.hh"

namespace sf::quic_client {

using Buffer = std::vector<std::uint8_t>;

inline void put(Buffer& out, std::uint64_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    out.push_back(static_cast<std::uint8_t>(value >> shift));
}
inline void put(Buffer& out, Bytes more) {
  out.insert(out.end(), more.begin(), more.end());
}
inline void put_varint(Buffer& out, std::uint64_t value) {
  put(out, value | 0x80000000U, 4);  // any length will do
}

// The handshake message with one name, or none where that is empty; `padding` bytes of an extension make it
// longer.
inline Buffer hello(std::string_view name, std::size_t padding = 0) {
  Buffer extensions;
  if (!name.empty()) {
    put(extensions, 0, 2);
    put(extensions, name.size() + 5, 2);
    put(extensions, name.size() + 3, 2);
    put(extensions, 0, 1);
    put(extensions, name.size(), 2);
    for (const char c : name) extensions.push_back(static_cast<std::uint8_t>(c));
  }
  put(extensions, 21, 2);
  put(extensions, padding, 2);
  extensions.resize(extensions.size() + padding, 0);
  Buffer out{1};
  put(out, 34 + 1 + 4 + 2 + 2 + extensions.size(), 3);
  out.resize(out.size() + 34, 3);
  put(out, 0, 1);
  put(out, 0x00021301, 4);
  put(out, 0x0100, 2);
  put(out, extensions.size(), 2);
  put(out, extensions);
  return out;
}

inline Buffer crypto_frame(std::uint64_t offset, Bytes data) {
  Buffer out{6};
  put_varint(out, offset);
  put_varint(out, data.size());
  put(out, data);
  return out;
}

struct Initial {
  wire::QuicVersion version = wire::QuicVersion::v1;
  Buffer destination{1, 2, 3, 4, 5, 6, 7, 8};
  Buffer keyed_by{};  // empty: `destination`
  std::uint64_t number = 0;
  int number_size = 2;
  Buffer token{};
};

// The packet with its protection; `frames` are padded to what the smallest datagram needs.
inline Buffer seal(const Initial& what, Buffer frames, std::size_t pad_to = 1100) {
  if (frames.size() < pad_to) frames.resize(pad_to, 0);
  const bool v1 = what.version == wire::QuicVersion::v1;
  Buffer out;
  put(out, (v1 ? 0xc0U : 0xd0U) | static_cast<unsigned>(what.number_size - 1), 1);
  put(out, v1 ? 1U : 0x6b3343cfU, 4);
  put(out, what.destination.size(), 1);
  put(out, what.destination);
  put(out, 0, 1);
  put_varint(out, what.token.size());
  put(out, what.token);
  put_varint(out, static_cast<std::uint64_t>(what.number_size) + frames.size() + 16);
  const std::size_t at = out.size();
  put(out, what.number, what.number_size);
  const std::size_t header = out.size();

  const wire::QuicKeys keys =
      wire::quic_client_keys(what.version, what.keyed_by.empty() ? what.destination : what.keyed_by);
  std::array<std::uint8_t, 12> nonce = keys.iv;
  for (std::size_t i = 0; i < 8; ++i)
    nonce[4 + i] = static_cast<std::uint8_t>(nonce[4 + i] ^ (what.number >> (56 - 8 * i)));
  gcm_aes128_ctx cipher;
  gcm_aes128_set_key(&cipher, keys.key.data());
  gcm_aes128_set_iv(&cipher, nonce.size(), nonce.data());
  gcm_aes128_update(&cipher, header, out.data());
  out.resize(header + frames.size() + 16);
  gcm_aes128_encrypt(&cipher, frames.size(), out.data() + header, frames.data());
  gcm_aes128_digest(&cipher, 16, out.data() + header + frames.size());
  aes128_ctx mask_cipher;
  std::array<std::uint8_t, 16> mask{};
  aes128_set_encrypt_key(&mask_cipher, keys.header.data());
  aes128_encrypt(&mask_cipher, 16, mask.data(), out.data() + at + 4);
  out[0] = static_cast<std::uint8_t>(out[0] ^ (mask[0] & 0x0f));
  for (std::size_t i = 0; i < static_cast<std::size_t>(what.number_size); ++i)
    out[at + i] = static_cast<std::uint8_t>(out[at + i] ^ mask[1 + i]);
  return out;
}

// A datagram with a whole hello.
inline Buffer first_datagram(std::string_view name, const Initial& what = {}) {
  return seal(what, crypto_frame(0, hello(name)));
}

}  // namespace sf::quic_client
