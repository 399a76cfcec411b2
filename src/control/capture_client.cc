#include "control/capture_client.hh"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "control/client.hh"
#include "wire/pcapng.hh"

namespace sf::control {
namespace {

namespace pcapng = wire::pcapng;

constexpr Duration kEndWait = 2s;
constexpr std::size_t kReadSize = std::size_t{256} * 1024;
// Of an instance that is one: the largest frame, and what is around it.
constexpr std::size_t kMaxBlock = std::size_t{1} << 20;
constexpr std::size_t kMaxRefusal = std::size_t{1} << 20;
// What a pipe takes without waiting once poll(2) says that it is writable.
constexpr std::size_t kAtomic = 4096;

std::uint32_t word_at(Bytes bytes, std::size_t at) {
  std::uint32_t word = 0;
  std::memcpy(&word, bytes.data() + at, sizeof(word));
  return word;
}

// A number among the options of a block, which are padded to words. 0 where it is not there.
std::uint64_t number_in(Bytes options, std::uint16_t wanted) {
  while (options.size() >= 4) {
    std::array<std::uint16_t, 2> head{};  // code and length
    std::memcpy(head.data(), options.data(), sizeof(head));
    options = drop(options, sizeof(head));
    if (head[0] == wanted && head[1] == sizeof(std::uint64_t) && options.size() >= sizeof(std::uint64_t)) {
      std::uint64_t number = 0;
      std::memcpy(&number, options.data(), sizeof(number));
      return number;
    }
    options = drop(options, (head[1] + 3U) & ~3U);
  }
  return 0;
}

bool is_over(int timer) {
  pollfd watched{.fd = timer, .events = POLLIN, .revents = 0};
  return timer >= 0 && ::poll(&watched, 1, 0) == 1;
}

bool waits_for_reader(int out) {
  struct stat status {};
  return ::fstat(out, &status) != 0 || !S_ISREG(status.st_mode);
}

}  // namespace

Result<CaptureClient> CaptureClient::ask(const std::string& path, std::string_view request) {
  auto socket = connect_and_send(path, request);
  if (!socket) return tl::unexpected(socket.error());
  CaptureClient client(*std::move(socket), path);
  const UniqueFd timer = start_timer(kReplyTimeout);
  std::array<pollfd, 2> watched{{{.fd = client.socket_.get(), .events = POLLIN, .revents = 0},
                                 {.fd = timer.get(), .events = POLLIN, .revents = 0}}};
  while (client.came_.empty() || client.came_.front() == '{') {
    static_cast<void>(::poll(watched.data(), watched.size(), -1));
    if (watched[0].revents == 0 && watched[1].revents != 0) {
      return fail(
          "cannot ask the instance at {}: it does not answer; is it stopped, or is that another program?",
          path);
    }
    if (watched[0].revents == 0) continue;
    const auto more = client.receive();
    if (!more) return tl::unexpected(more.error());
    if (*more && client.came_.size() <= kMaxRefusal) continue;
    if (client.came_.empty()) {
      return fail("cannot ask the instance at {}: it closed without a word; is it ending?", path);
    }
    if (client.came_.front() != '{') break;
    client.refusal_.assign(client.came_.begin(), client.came_.end());
    break;
  }
  return client;
}

// False: that was all.
Result<bool> CaptureClient::receive() {
  const std::size_t before = came_.size();
  came_.resize(before + kReadSize);
  const ssize_t got = ::recv(socket_.get(), came_.data() + before, kReadSize, MSG_DONTWAIT);
  const int error = errno;
  came_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  if (got >= 0) return got > 0;
  if (error == EAGAIN || error == EINTR) return true;
  if (error == ECONNRESET) return false;
  return fail("cannot go on capturing from the instance at {}: receive: {}; start again", path_,
              std::strerror(error));
}

Result<void> CaptureClient::take_blocks(std::optional<std::uint64_t> count) {
  std::size_t done = 0;
  while (came_.size() - done >= 8) {
    const Bytes rest = drop(came_, done);
    const std::size_t length = word_at(rest, 4);
    if (length < 12 || length % 4 != 0 || length > kMaxBlock) {
      return fail("cannot read what the instance at {} sends: it is no pcapng; is that another program?",
                  path_);
    }
    if (rest.size() < length) break;
    take_block(rest.first(length), count);
    done += length;
  }
  came_.erase(came_.begin(), came_.begin() + static_cast<std::ptrdiff_t>(done));
  return {};
}

void CaptureClient::take_block(Bytes block, std::optional<std::uint64_t> count) {
  constexpr std::size_t kPacketHead = 28, kStatisticsHead = 20, kTail = 4;
  const std::uint32_t type = word_at(block, 0);
  if (type == pcapng::kEnhancedPacket && block.size() >= kPacketHead + kTail) {
    if (count && summary_.frames == *count) return;
    ++summary_.frames;
    const std::size_t padded = (std::size_t{word_at(block, 20)} + 3) & ~std::size_t{3};
    summary_.lost +=
        number_in(drop(block.first(block.size() - kTail), kPacketHead + padded), pcapng::kEpbDropCount);
  } else if (type == pcapng::kInterfaceStatistics && block.size() >= kStatisticsHead + kTail) {
    // With those behind the last frame.
    summary_.lost = number_in(drop(block.first(block.size() - kTail), kStatisticsHead), pcapng::kIsbDropped);
  }
  pending_.insert(pending_.end(), block.begin(), block.end());
}

// A regular file takes all at once. A pipe gets what it has room for, so that a signal is noticed while its
// reader does nothing.
Result<CaptureClient::Wrote> CaptureClient::write(int out, bool waits, int signals) {
  std::size_t done = 0;
  while (done < pending_.size()) {
    if (waits) {
      std::array<pollfd, 3> watched{{{.fd = out, .events = POLLOUT, .revents = 0},
                                     {.fd = signals, .events = POLLIN, .revents = 0},
                                     {.fd = timer_.get(), .events = POLLIN, .revents = 0}}};
      static_cast<void>(::poll(watched.data(), watched.size(), -1));
      if (watched[1].revents != 0) note_signal(signals);
      if (stop_ || watched[2].revents != 0) return Wrote::stopped;
      if (watched[0].revents == 0) continue;
    }
    const Bytes rest = drop(pending_, done);
    const ssize_t put = ::write(out, rest.data(), waits ? std::min(rest.size(), kAtomic) : rest.size());
    if (put >= 0) {
      done += static_cast<std::size_t>(put);
    } else if (errno == EPIPE) {
      return Wrote::reader_gone;
    } else if (errno != EINTR && errno != EAGAIN) {
      return fail("cannot write the recording: {}; it ends with frame {} at most", std::strerror(errno),
                  summary_.frames);
    }
  }
  pending_.clear();
  return Wrote::all;
}

// The first one asks for an orderly end, the next one for one at once.
void CaptureClient::note_signal(int signals) {
  std::array<char, 1024> ignored;
  static_cast<void>(::read(signals, ignored.data(), ignored.size()) < 0);
  if (timer_) {
    stop_ = true;
  } else {
    finish();
  }
}

void CaptureClient::finish() {
  if (timer_) return;
  timer_ = start_timer(kEndWait);
  if (!timer_) stop_ = true;
  ::shutdown(socket_.get(), SHUT_WR);
}

Result<CaptureClient::Summary> CaptureClient::copy(int out, int signals, std::optional<std::uint64_t> count) {
  const bool waits = waits_for_reader(out);
  for (bool more = true;;) {
    if (auto taken = take_blocks(count); !taken) return tl::unexpected(taken.error());
    const auto wrote = write(out, waits, signals);
    if (!wrote) return tl::unexpected(wrote.error());
    if (*wrote == Wrote::reader_gone) summary_.end = End::reader_gone;
    if (*wrote != Wrote::all || stop_ || is_over(timer_.get())) return summary_;
    if (!more) {
      if (!timer_) summary_.end = End::instance_gone;
      return summary_;
    }
    if (count && summary_.frames == *count) finish();
    std::array<pollfd, 4> watched{{{.fd = socket_.get(), .events = POLLIN, .revents = 0},
                                   {.fd = signals, .events = POLLIN, .revents = 0},
                                   {.fd = waits ? out : -1, .events = 0, .revents = 0},
                                   {.fd = timer_.get(), .events = POLLIN, .revents = 0}}};
    static_cast<void>(::poll(watched.data(), watched.size(), -1));
    if (watched[1].revents != 0) note_signal(signals);
    if ((watched[2].revents & (POLLERR | POLLNVAL)) != 0) {
      summary_.end = End::reader_gone;
      return summary_;
    }
    if (watched[0].revents == 0) continue;
    const auto received = receive();
    if (!received) return tl::unexpected(received.error());
    more = *received;
  }
}

Result<UniqueFd> open_recording(const std::string& path) {
  // Others must not read what the guest says.
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) {
    return fail("cannot record to {}: open: {}; give -w a path that can be written", path,
                std::strerror(errno));
  }
  return file;
}

Result<int> standard_output_for_recording() {
  if (::isatty(STDOUT_FILENO) == 1) {
    return fail(
        "cannot write a recording to a terminal: name a file with -w FILE, or have a program read it, as "
        "with "
        "| wireshark -k -i - or | tcpdump -r -");
  }
  return STDOUT_FILENO;
}

}  // namespace sf::control
