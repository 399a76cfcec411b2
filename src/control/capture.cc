#include "control/capture.hh"

#include <algorithm>
#include <array>
#include <utility>

namespace sf::control {
namespace {

std::size_t total_size(std::span<const Bytes> parts) {
  std::size_t size = 0;
  for (const Bytes part : parts) size += part.size();
  return size;
}

// The beginning of a frame in one piece: its first part where that is long enough, else put together in
// `room`.
Bytes beginning(std::span<const Bytes> parts, std::size_t size, MutBytes room) {
  const std::size_t wanted = std::min(size, room.size());
  if (!parts.empty() && parts.front().size() >= wanted) return parts.front();
  std::size_t filled = 0;
  for (const Bytes part : parts) {
    const Bytes piece = take(part, wanted - filled);
    std::ranges::copy(piece, room.begin() + static_cast<std::ptrdiff_t>(filled));
    filled += piece.size();
  }
  return room.first(filled);
}

}  // namespace

// The recording of one client. What is marked so is under the mutex.
class Captures::Recording final : public Stream {
 public:
  Recording(Captures& captures, CaptureRequest request) : captures_(captures), request_(std::move(request)) {
    wire::pcapng::append_head(waiting_, captures_.interface_name_, request_.snap_length);
  }
  ~Recording() override { captures_.remove(this); }

  void when_ready(std::function<void()> ready) override { ready_ = std::move(ready); }
  void take(std::vector<std::uint8_t>& out) override {
    out.clear();
    const std::scoped_lock lock(captures_.mutex_);
    out.swap(waiting_);
  }
  void finish() override {
    const std::scoped_lock lock(captures_.mutex_);
    if (std::exchange(finished_, true)) return;
    wire::pcapng::append_statistics(waiting_, captures_.hooks_.unix_time(), statistics_);
  }

  // Under the mutex. True: there is something to take.
  bool record(const wire::pcapng::Packet& packet, std::size_t size, Bytes beginning);
  [[nodiscard]] bool waits() const { return !waiting_.empty(); }

  // It may be gone after that.
  void tell() const {
    const auto ready = ready_;
    if (ready) ready();
  }

 private:
  static constexpr std::size_t kMostAround = 128;  // of a packet's block

  Captures& captures_;
  const CaptureRequest request_;
  std::function<void()> ready_;
  // Under the mutex:
  std::vector<std::uint8_t> waiting_;
  wire::pcapng::Statistics statistics_;
  std::uint64_t lost_ = 0;  // since the last frame that was recorded
  bool finished_ = false;
};

bool Captures::Recording::record(const wire::pcapng::Packet& packet, std::size_t size, Bytes beginning) {
  if (finished_) return false;
  ++statistics_.seen;
  if (!request_.filter.accepts(beginning, size)) return false;
  ++statistics_.accepted;
  const std::size_t kept = std::min<std::size_t>(size, request_.snap_length);
  if (waiting_.size() + kept + kMostAround > kMaxWaiting) {
    ++statistics_.lost;
    ++lost_;
    return false;
  }
  wire::pcapng::Packet mine = packet;
  mine.snap_length = request_.snap_length;
  mine.lost = std::exchange(lost_, 0);
  wire::pcapng::append_packet(waiting_, mine);
  return true;
}

Captures::~Captures() = default;

std::unique_ptr<Stream> Captures::add(CaptureRequest request) {
  if (recordings_.size() == kMaxCaptures) return nullptr;
  auto recording = std::make_unique<Recording>(*this, std::move(request));
  {
    const std::scoped_lock lock(mutex_);
    recordings_.push_back(recording.get());
  }
  if (recordings_.size() == 1) hooks_.use(true);
  return recording;
}

void Captures::remove(Recording* recording) {
  {
    const std::scoped_lock lock(mutex_);
    std::erase(recordings_, recording);
  }
  if (recordings_.empty()) hooks_.use(false);
}

void Captures::on_frame(std::span<const Bytes> parts, const wire::Offload& offload,
                        link::Direction direction) {
  std::array<std::uint8_t, kFiltered> room;
  const std::size_t size = total_size(parts);
  const Bytes first = beginning(parts, size, room);
  bool wake = false;
  {
    // Under the mutex, so that the recordings of several shards' frames are in the order of their time
    // stamps.
    const std::scoped_lock lock(mutex_);
    const wire::pcapng::Packet packet{.parts = parts,
                                      .offload = offload,
                                      .time = hooks_.unix_time(),
                                      .outbound = direction == link::Direction::from_guest};
    for (Recording* recording : recordings_) {
      if (recording->record(packet, size, first)) wake = true;
    }
    wake = wake && !std::exchange(woken_, true);
  }
  if (wake) hooks_.wake();
}

void Captures::deliver() {
  std::vector<const Recording*> ready;
  {
    const std::scoped_lock lock(mutex_);
    woken_ = false;
    std::ranges::copy_if(recordings_, std::back_inserter(ready),
                         [](const auto* one) { return one->waits(); });
  }
  // Telling one may end it, and others.
  for (const Recording* recording : ready) {
    if (std::ranges::find(recordings_, recording) != recordings_.end()) recording->tell();
  }
}

}  // namespace sf::control
