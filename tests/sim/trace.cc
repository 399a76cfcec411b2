#include "sim/trace.hh"

#include <fmt/core.h>

#include <cstdio>
#include <fstream>

#include "wire/ethernet.hh"
#include "wire/ip.hh"
#include "wire/tcp.hh"
#include "wire/udp.hh"

namespace sf::sim {
namespace {

// Enough for all headers and the start of the data: a run of one seed can carry megabytes.
constexpr std::size_t kSnapLength = 192;

double seconds(Time at) {
  return std::chrono::duration<double>(at.time_since_epoch()).count();
}

std::string describe_tcp(const wire::TcpSegment& tcp) {
  std::string flags;
  if (tcp.flags.syn) flags += 'S';
  if (tcp.flags.fin) flags += 'F';
  if (tcp.flags.rst) flags += 'R';
  if (tcp.flags.ack) flags += '.';
  std::string line = fmt::format("tcp {} seq {} ack {} win {} len {}", flags, tcp.sequence,
                                 tcp.acknowledgment, tcp.window, tcp.payload.size());
  const wire::TcpOptions& options = tcp.options;
  if (options.mss) line += fmt::format(" mss {}", *options.mss);
  if (options.window_scale) line += fmt::format(" wscale {}", *options.window_scale);
  if (options.sack_permitted) line += " sackOK";
  if (options.timestamps) {
    line += fmt::format(" ts {}/{}", options.timestamps->value, options.timestamps->echo_reply);
  }
  for (std::size_t i = 0; i < options.sack_count; ++i) {
    line += fmt::format(" sack {}-{}", options.sack[i].left, options.sack[i].right);
  }
  return line;
}

// A little-endian file whatever the machine is.
void put_u32(std::ofstream& out, std::uint32_t v) {
  const char bytes[4] = {static_cast<char>(v), static_cast<char>(v >> 8), static_cast<char>(v >> 16),
                         static_cast<char>(v >> 24)};
  out.write(bytes, sizeof bytes);
}

}  // namespace

std::string describe_frame(Bytes frame) {
  const auto ethernet = wire::EthernetHeader::parse(frame);
  if (!ethernet) return fmt::format("runt of {} bytes", frame.size());
  const Bytes body = drop(frame, wire::kEthernetHeaderSize);
  const auto type = static_cast<wire::EtherType>(ethernet->type);
  if (type == wire::EtherType::arp) return fmt::format("arp, {} bytes", body.size());
  if (type != wire::EtherType::ipv4 && type != wire::EtherType::ipv6) {
    return fmt::format("ether type {:#06x}, {} bytes", ethernet->type, body.size());
  }
  const auto ip = wire::parse_ip(body);
  if (!ip) return fmt::format("bad ip packet: {}", wire::to_string(ip.error()));
  std::string ports;
  std::string what = fmt::format("protocol {}, {} bytes", ip->protocol, ip->payload.size());
  if (ip->fragment) {
    what = fmt::format("fragment {} offset {}{} of {}", ip->fragment->id, ip->fragment->offset,
                       ip->fragment->more ? "+" : "", what);
  } else if (ip->protocol == 6) {
    if (const auto tcp = wire::TcpSegment::parse(ip->payload)) {
      return fmt::format("{} > {} {}", Endpoint{ip->source, tcp->source_port}.to_string(),
                         Endpoint{ip->destination, tcp->destination_port}.to_string(), describe_tcp(*tcp));
    }
  } else if (ip->protocol == 17) {
    if (const auto udp = wire::UdpDatagram::parse(ip->payload)) {
      return fmt::format("{} > {} udp len {}", Endpoint{ip->source, udp->source_port}.to_string(),
                         Endpoint{ip->destination, udp->destination_port}.to_string(), udp->payload.size());
    }
  } else if (ip->payload.size() >= 2) {
    what = fmt::format("icmp type {} code {}, {} bytes", ip->payload[0], ip->payload[1], ip->payload.size());
  }
  return fmt::format("{} > {} {}", ip->source.to_string(), ip->destination.to_string(), what);
}

void Trace::frame(Time at, Direction direction, Bytes frame, const wire::Offload& offload, const char* fate) {
  std::string line = direction == Direction::from_guest ? "from_guest " : "to_guest   ";
  line += describe_frame(frame);
  if (offload.gso != wire::GsoType::none) line += fmt::format(" gso {}", offload.gso_size);
  if (*fate != '\0') line += fmt::format(" [{}]", fate);
  note(at, line);
  const Bytes kept = take(frame, kSnapLength);
  frames_.push_back({at, {kept.begin(), kept.end()}, static_cast<std::uint32_t>(frame.size())});
}

void Trace::note(Time at, const std::string& line) {
  lines_.push_back(fmt::format("{:.6f} {}", seconds(at), line));
  if (print_) fmt::print(stderr, "{}\n", lines_.back());
}

bool Trace::write(const std::string& stem) const {
  std::ofstream pcap(stem + ".pcap", std::ios::binary);
  put_u32(pcap, 0xa1b23c4d);  // pcap with nanoseconds
  put_u32(pcap, 4U << 16 | 2U);
  put_u32(pcap, 0);
  put_u32(pcap, 0);
  put_u32(pcap, 1 << 18);
  put_u32(pcap, 1);  // LINKTYPE_ETHERNET
  for (const Record& record : frames_) {
    const auto nanoseconds = static_cast<std::uint64_t>(record.at.time_since_epoch().count());
    put_u32(pcap, static_cast<std::uint32_t>(nanoseconds / 1'000'000'000));
    put_u32(pcap, static_cast<std::uint32_t>(nanoseconds % 1'000'000'000));
    put_u32(pcap, static_cast<std::uint32_t>(record.bytes.size()));
    put_u32(pcap, record.length);
    pcap.write(reinterpret_cast<const char*>(record.bytes.data()),
               static_cast<std::streamsize>(record.bytes.size()));
  }
  std::ofstream text(stem + ".txt");
  for (const std::string& line : lines_) text << line << '\n';
  return pcap.good() && text.good();
}

}  // namespace sf::sim
