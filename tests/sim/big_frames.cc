#include "sim/big_frames.hh"

#include <algorithm>

#include "link/link.hh"
#include "wire/checksum.hh"

namespace sf::sim {
namespace {

constexpr std::size_t kEthernet = wire::kEthernetHeaderSize;
constexpr std::size_t kMost = 60'000;  // payload of one piece, at most

// The frame's headers as they are without what makes it big; or what is wrong with them.
std::variant<FrameBytes, const char*> small_headers(const Frame& frame) {
  const Bytes bytes{frame.bytes};
  const std::size_t headers = frame.offload.header_length;
  if (headers < kEthernet + 40 || headers > 200 || headers >= bytes.size()) return "no sound header_length";
  FrameBytes out(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(headers));
  const Bytes ip = drop(bytes, kEthernet);
  if (frame.offload.gso == wire::GsoType::tcp4) {
    if (ip[0] != 0x45) return "not IPv4 without options";
    if (load_be16(&ip[2]) != 0) return "IPv4's total length is not 0";
    if (wire::checksum_finish(wire::checksum_add(0, ip.first(20))) != 0)
      return "IPv4's header checksum is wrong";
    return out;
  }
  if (frame.offload.gso != wire::GsoType::tcp6 || ip[0] >> 4 != 6)
    return "neither TCP over IPv4 nor over IPv6";
  if (load_be16(&ip[4]) != 0 || ip[6] != 0)
    return "IPv6's payload length is not 0, or no hop-by-hop header follows";
  if (ip[40] != 6 || ip[41] != 0 || ip[42] != 0xc2 || ip[43] != 4) return "no jumbo option";
  if (load_be32(&ip[44]) != ip.size() - 40) return "the jumbo payload length is not the frame's";
  out[kEthernet + 6] = 6;
  out.erase(out.begin() + kEthernet + 40, out.begin() + kEthernet + 48);
  return out;
}

}  // namespace

bool is_big(Bytes frame) {
  return frame.size() > kEthernet + 65535;
}

std::variant<std::vector<Frame>, const char*> split_big(const Frame& frame) {
  if (frame.bytes.size() > kEthernet + link::kMaxBigTcpPacket) return "larger than kMaxBigTcpPacket";
  if (!frame.offload.checksum_needed) return "a complete checksum";
  auto headers = small_headers(frame);
  if (const auto* wrong = std::get_if<const char*>(&headers)) return *wrong;
  const FrameBytes& head = std::get<FrameBytes>(headers);
  const bool v4 = frame.offload.gso == wire::GsoType::tcp4;
  const std::size_t tcp = kEthernet + (v4 ? 20 : 40);
  const Bytes data = drop(frame.bytes, frame.offload.header_length);
  const std::size_t tcp_size = head.size() - tcp;
  const auto address = [&](std::size_t at4, std::size_t at6) {
    return v4 ? wire::checksum_add(0, Bytes{head}.subspan(kEthernet + at4, 4))
              : wire::checksum_add(0, Bytes{head}.subspan(kEthernet + at6, 16));
  };
  const auto pseudo = [&](std::size_t length) {
    return wire::checksum_fold(address(12, 8) + address(16, 24) + 6 + (length >> 16) + (length & 0xffff));
  };
  if (load_be16(&head[tcp + wire::kTcpChecksumOffset]) != pseudo(tcp_size + data.size())) {
    return "the partial checksum is not the pseudo-header's sum";
  }
  const std::size_t gso_size = frame.offload.gso_size;
  if (gso_size == 0) return "a GSO size of 0";
  const std::size_t step = std::max(kMost / gso_size, std::size_t{1}) * gso_size;
  std::vector<Frame> out;
  for (std::size_t at = 0; at < data.size(); at += step) {
    const Bytes part = take(drop(data, at), step);
    const bool last = at + part.size() == data.size();
    Frame piece{head, frame.offload};
    piece.bytes.insert(piece.bytes.end(), part.begin(), part.end());
    std::uint8_t* ip = &piece.bytes[kEthernet];
    std::uint8_t* transport = &piece.bytes[tcp];
    if (v4) {
      store_be16(ip + 2, static_cast<std::uint16_t>(piece.bytes.size() - kEthernet));
      store_be16(ip + 10, 0);
      store_be16(ip + 10, wire::checksum_finish(wire::checksum_add(0, Bytes{ip, 20})));
    } else {
      store_be16(ip + 4, static_cast<std::uint16_t>(piece.bytes.size() - tcp));
    }
    store_be32(transport + 4, load_be32(transport + 4) + static_cast<std::uint32_t>(at));
    if (!last) transport[13] = static_cast<std::uint8_t>(transport[13] & ~0x09);   // FIN, PSH
    if (at > 0) transport[13] = static_cast<std::uint8_t>(transport[13] & ~0x80);  // CWR
    store_be16(transport + wire::kTcpChecksumOffset, pseudo(tcp_size + part.size()));
    piece.offload.checksum_start = static_cast<std::uint16_t>(tcp);
    piece.offload.header_length = static_cast<std::uint16_t>(head.size());
    if (part.size() <= piece.offload.gso_size) {
      piece.offload.gso = wire::GsoType::none;
      piece.offload.gso_size = 0;
      piece.offload.header_length = 0;
    }
    out.push_back(std::move(piece));
  }
  return out;
}

}  // namespace sf::sim
