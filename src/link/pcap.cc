#include "link/pcap.hh"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "base/unique_fd.hh"
#include "wire/checksum.hh"
#include "wire/tcp.hh"
#include "wire/udp.hh"

namespace sf::link {
namespace {

constexpr std::size_t kFlushAt = 64 * 1024;
constexpr std::uint32_t kSnapLength = 262144;  // what Wireshark takes for "no limit"

enum BlockType : std::uint32_t { kSectionHeader = 0x0a0d0d0a, kInterface = 1, kEnhancedPacket = 6 };
enum OptionCode : std::uint16_t {
  kEndOfOptions = 0,
  kIfName = 2,
  kEpbFlags = 2,
  kShbApplication = 4,
  kIfTimeResolution = 9,
};

std::size_t padded(std::size_t size) {
  return (size + 3) & ~std::size_t{3};
}

// One block, in the machine's byte order, which its section header tells. The total length stands at both
// ends and is known last.
class Block {
 public:
  Block(std::vector<std::uint8_t>& out, BlockType type) : out_(out), start_(out.size()) {
    put(static_cast<std::uint32_t>(type));
    put(std::uint32_t{0});
  }

  template <typename T>
  void put(T value) {
    std::array<std::uint8_t, sizeof(T)> bytes;
    std::memcpy(bytes.data(), &value, sizeof(T));
    out_.insert(out_.end(), bytes.begin(), bytes.end());
  }
  void put_bytes(Bytes bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  void pad() { out_.resize(start_ + padded(out_.size() - start_)); }
  void put_option(OptionCode code, Bytes value) {
    put(static_cast<std::uint16_t>(code));
    put(static_cast<std::uint16_t>(value.size()));
    put_bytes(value);
    pad();
  }
  void put_option(OptionCode code, std::string_view text) {
    put_option(code, Bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
  }
  void finish() {
    const auto length = static_cast<std::uint32_t>(out_.size() - start_ + sizeof(std::uint32_t));
    put(length);
    std::memcpy(out_.data() + start_ + sizeof(std::uint32_t), &length, sizeof(length));
  }

 private:
  std::vector<std::uint8_t>& out_;
  std::size_t start_;
};

// What a checksum-offloading device would put in. The field is part of the sum, as the pseudo-header's share.
void complete_checksum(MutBytes frame, const wire::Offload& offload) {
  const std::size_t field = std::size_t{offload.checksum_start} + offload.checksum_offset;
  if (!offload.checksum_needed || field + 2 > frame.size()) return;
  std::uint16_t sum = wire::checksum_finish(wire::checksum_add(0, drop(frame, offload.checksum_start)));
  if (offload.checksum_offset == wire::kUdpChecksumOffset) sum = wire::udp_checksum_field(sum);
  store_be16(&frame[field], sum);
}

// False, with errno, where not all of it could be written.
bool write_all(int fd, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    bytes = drop(bytes, static_cast<std::size_t>(count));
  }
  return true;
}

enum class Direction : std::uint8_t { inbound = 1, outbound = 2 };  // of epb_flags

}  // namespace

// The file. Each of its functions may be called by any thread; recording is for looking into something, not
// for speed.
class PcapTee::Recorder {
 public:
  Recorder(UniqueFd file, std::string path, WallClock now, const Log& log)
      : file_(std::move(file)), path_(std::move(path)), now_(std::move(now)), log_(log) {}
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;
  ~Recorder() { flush(); }

  // False, with errno.
  [[nodiscard]] bool begin(std::string_view interface_name) {
    write_head(interface_name);
    if (!write_all(file_.get(), pending_)) return false;
    pending_.clear();
    return true;
  }
  void record(std::span<const Bytes> parts, const wire::Offload& offload, Direction direction);
  void flush() {
    const std::scoped_lock lock(mutex_);
    write_pending();
  }

 private:
  void write_head(std::string_view interface_name);
  void write_pending();

  UniqueFd file_;  // closed once recording has stopped
  std::string path_;
  WallClock now_;
  const Log& log_;
  std::mutex mutex_;
  std::vector<std::uint8_t> pending_;
};

Result<std::unique_ptr<PcapTee>> PcapTee::create(Link& inner, const std::string& path,
                                                 std::string_view interface_name, WallClock now,
                                                 const Log& log) {
  // Others must not read what the guest says.
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) {
    return fail("cannot record to {}: open: {}; give --pcap a path that can be written", path,
                std::strerror(errno));
  }
  auto recorder = std::make_shared<Recorder>(std::move(file), path, std::move(now), log);
  if (!recorder->begin(interface_name)) {
    return fail("cannot record to {}: write: {}; give --pcap a path with free space", path,
                std::strerror(errno));
  }
  return std::unique_ptr<PcapTee>(new PcapTee(inner, std::move(recorder)));
}

PcapTee::PcapTee(Link& inner, std::shared_ptr<Recorder> recorder)
    : inner_(inner), recorder_(std::move(recorder)) {}

PcapTee::~PcapTee() = default;

std::unique_ptr<PcapTee> PcapTee::also(Link& inner) const {
  return std::unique_ptr<PcapTee>(new PcapTee(inner, recorder_));
}

Status PcapTee::receive(MutBytes buffer, Frame& frame) {
  const Status status = inner_.receive(buffer, frame);
  if (status == Status::ok)
    recorder_->record(std::array{Bytes{frame.bytes}}, frame.offload, Direction::outbound);
  return status;
}

Status PcapTee::send(std::span<const Bytes> parts, const wire::Offload& offload) {
  const Status status = inner_.send(parts, offload);
  if (status == Status::ok) recorder_->record(parts, offload, Direction::inbound);
  return status;
}

void PcapTee::flush() {
  recorder_->flush();
}

void PcapTee::Recorder::write_pending() {
  if (pending_.empty()) return;
  if (file_ && !write_all(file_.get(), pending_)) {
    log_.error("recording to {} has stopped: write: {}; the network goes on, free some space and start again",
               path_, std::strerror(errno));
    file_.reset();
  }
  pending_.clear();
}

void PcapTee::Recorder::write_head(std::string_view interface_name) {
  constexpr std::uint32_t kByteOrderMagic = 0x1a2b3c4d;
  constexpr std::uint16_t kLinkTypeEthernet = 1;
  constexpr std::uint8_t kNanoseconds = 9;  // 10^-9
  Block section(pending_, kSectionHeader);
  section.put(kByteOrderMagic);
  section.put(std::uint16_t{1});  // version 1.0
  section.put(std::uint16_t{0});
  section.put(std::uint64_t{0xffffffffffffffff});  // section length: not known
  section.put_option(kShbApplication, "slirp-forwarder");
  section.put_option(kEndOfOptions, Bytes{});
  section.finish();
  Block interface(pending_, kInterface);
  interface.put(kLinkTypeEthernet);
  interface.put(std::uint16_t{0});
  interface.put(kSnapLength);
  interface.put_option(kIfName, interface_name);
  interface.put_option(kIfTimeResolution, std::array{kNanoseconds});
  interface.put_option(kEndOfOptions, Bytes{});
  interface.finish();
}

void PcapTee::Recorder::record(std::span<const Bytes> parts, const wire::Offload& offload,
                               Direction direction) {
  const std::scoped_lock lock(mutex_);
  if (!file_) return;
  std::size_t size = 0;
  for (const Bytes part : parts) size += part.size();
  const auto time = static_cast<std::uint64_t>(now_().count());
  Block packet(pending_, kEnhancedPacket);
  packet.put(std::uint32_t{0});  // the only interface
  packet.put(static_cast<std::uint32_t>(time >> 32));
  packet.put(static_cast<std::uint32_t>(time));
  packet.put(static_cast<std::uint32_t>(size));
  packet.put(static_cast<std::uint32_t>(size));
  const std::size_t frame_start = pending_.size();
  for (const Bytes part : parts) packet.put_bytes(part);
  complete_checksum(MutBytes(pending_).subspan(frame_start, size), offload);
  packet.pad();
  std::array<std::uint8_t, sizeof(std::uint32_t)> flags;
  const auto flag_bits = static_cast<std::uint32_t>(direction);
  std::memcpy(flags.data(), &flag_bits, sizeof(flag_bits));
  packet.put_option(kEpbFlags, flags);
  packet.put_option(kEndOfOptions, Bytes{});
  packet.finish();
  if (pending_.size() >= kFlushAt) write_pending();
}

}  // namespace sf::link
