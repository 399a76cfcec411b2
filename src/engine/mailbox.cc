#include "engine/mailbox.hh"

#include <cstring>
#include <utility>

#include "base/give_back.hh"

namespace sf::engine {
namespace {

// Larger buffers are given back once they are empty.
constexpr std::size_t kKeptBytes = std::size_t{128} * 1024;

}  // namespace

bool Mail::next(link::Frame& frame) {
  if (at_ == frames_.size()) return false;
  Head head;
  std::memcpy(&head, &frames_[at_], sizeof(head));
  at_ += sizeof(head);
  frame.bytes = MutBytes(frames_).subspan(at_, head.size);
  frame.offload = head.offload;
  frame.reassembled = head.reassembled;
  at_ += head.size;
  return true;
}

void Mail::clear() {
  if (frames_.capacity() > kKeptBytes) {
    give_back_all(frames_);
  } else {
    frames_.clear();
  }
  at_ = 0;
  errands_.clear();
}

bool Mailbox::note_waiting() {
  return !std::exchange(woken_, true);
}

bool Mailbox::post_frame(std::span<const Bytes> parts, const wire::Offload& offload, bool reassembled) {
  Mail::Head head{0, offload, reassembled};
  for (const Bytes part : parts) head.size += static_cast<std::uint32_t>(part.size());
  bool wake = false;
  {
    const std::scoped_lock lock(mutex_);
    std::vector<std::uint8_t>& frames = waiting_.frames_;
    if (closed_ || frames.size() + sizeof(head) + head.size > kMostBytes) return false;
    std::size_t at = frames.size();
    frames.resize(at + sizeof(head) + head.size);
    std::memcpy(&frames[at], &head, sizeof(head));
    at += sizeof(head);
    for (const Bytes part : parts) {
      if (part.empty()) continue;
      std::memcpy(&frames[at], part.data(), part.size());
      at += part.size();
    }
    wake = note_waiting();
  }
  if (wake) wake_();
  return true;
}

bool Mailbox::post(Errand errand) {
  bool wake = false;
  {
    const std::scoped_lock lock(mutex_);
    if (closed_) return false;
    waiting_.errands_.push_back(std::move(errand));
    wake = note_waiting();
  }
  if (wake) wake_();
  return true;
}

void Mailbox::take(Mail& mail) {
  const std::scoped_lock lock(mutex_);
  std::swap(mail.frames_, waiting_.frames_);
  std::swap(mail.errands_, waiting_.errands_);
  woken_ = false;
}

void Mailbox::close() {
  Mail gone;  // errands may post in turn when they go
  {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
    std::swap(gone.frames_, waiting_.frames_);
    std::swap(gone.errands_, waiting_.errands_);
  }
}

}  // namespace sf::engine
