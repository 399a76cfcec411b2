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
#include "wire/pcapng.hh"

namespace sf::link {
namespace {

constexpr std::size_t kFlushAt = 64 * 1024;

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
    wire::pcapng::append_head(pending_, interface_name, wire::pcapng::kMaxSnapLength);
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
    recorder_->record(std::array{Bytes{frame.bytes}}, frame.offload, Direction::from_guest);
  return status;
}

Status PcapTee::send(std::span<const Bytes> parts, const wire::Offload& offload) {
  const Status status = inner_.send(parts, offload);
  if (status == Status::ok) recorder_->record(parts, offload, Direction::to_guest);
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

void PcapTee::Recorder::record(std::span<const Bytes> parts, const wire::Offload& offload,
                               Direction direction) {
  const std::scoped_lock lock(mutex_);
  if (!file_) return;
  wire::pcapng::append_packet(
      pending_,
      {.parts = parts, .offload = offload, .time = now_(), .outbound = direction == Direction::from_guest});
  if (pending_.size() >= kFlushAt) write_pending();
}

}  // namespace sf::link
