#include "host/splice.hh"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/give_back.hh"

namespace sf::host {
namespace {

// Below that, copying is as cheap.
constexpr std::size_t kMany = std::size_t{32} * 1024;
// A stream that is read as fast as it comes has few bytes now and then: so many times in a row are an end of
// it.
constexpr std::uint8_t kFewInARow = 8;
constexpr int kLastRuns = 16;  // before the program ends: more than all buffers of a connection

bool is_temporary(int error) {
  return error == EAGAIN || error == EINTR;
}

}  // namespace

Pipe SplicePool::take() {
  if (!spare_.empty()) {
    Pipe pipe = std::move(spare_.back());
    spare_.pop_back();
    return pipe;
  }
  std::array<int, 2> fds{-1, -1};
  if (::pipe2(fds.data(), O_NONBLOCK | O_CLOEXEC) != 0) return {};
  Pipe pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
  if (descriptors_.kept_back(std::max(fds[0], fds[1]))) return {};
  // A user with very many pipes gets no large ones (pipe(7)): a small one works as well, more slowly.
  static_cast<void>(::fcntl(pipe.write.get(), F_SETPIPE_SZ, kPipeSize));
  return pipe;
}

void SplicePool::give_back(Pipe pipe) {
  if (spare_.size() < kSparePipes) spare_.push_back(std::move(pipe));
}

void SplicedPair::on_event(Side side, Readiness readiness) {
  End& end = sides_[static_cast<std::size_t>(side)];
  // Errors and ends are found out by reading and writing.
  const bool broken = readiness.error || readiness.hang_up;
  if (readiness.readable || readiness.read_closed || broken) end.readable = true;
  if (readiness.read_closed || broken) end.finishing = true;
  end.broken = end.broken || broken;
  if (readiness.writable || broken) end.writable = true;
}

SplicedPair::Outcome SplicedPair::run(SplicePool& pool) {
  bool more = false;
  bool failed = false;
  for (std::size_t i = 0; i < 2; ++i) {
    const Outcome outcome = run(directions_[i], sides_[i], sides_[1 - i], pool);
    failed = failed || outcome == Outcome::failed;
    more = more || outcome == Outcome::more;
  }
  // Only now: a side that refuses to hear more may have had its last word.
  if (failed) return Outcome::failed;
  if (directions_[0].ended && directions_[1].ended && !directions_[0].holds() && !directions_[1].holds()) {
    return Outcome::done;
  }
  // One that has finished is not read from any more, and that would be what tells of a reset.
  for (std::size_t i = 0; i < 2; ++i) {
    if (sides_[i].broken && directions_[i].ended && !directions_[i].holds()) return Outcome::failed;
  }
  for (std::size_t i = 0; i < 2; ++i) {
    Direction& direction = directions_[i];
    if (!direction.ended || direction.holds() || direction.closed) continue;
    direction.closed = true;
    ::shutdown(sides_[1 - i].fd.get(), SHUT_WR);
  }
  return more ? Outcome::more : Outcome::waiting;
}

SplicedPair::Outcome SplicedPair::run(Direction& direction, End& from, End& to, SplicePool& pool) {
  const std::uint64_t until = direction.bytes + kBudget;
  Step step = Step::moved;
  while (step == Step::moved && direction.bytes < until) {
    if (direction.holds()) {
      step = deliver(direction, to);
    } else if (direction.ended || !from.readable) {
      step = Step::blocked;
    } else {
      step = direction.many ? splice_in(direction, from, pool) : copy(direction, from, to, pool.buffer());
    }
  }
  if (direction.in_pipe == 0 && direction.pipe.read) pool.give_back(std::move(direction.pipe));
  if (step == Step::failed) return Outcome::failed;
  return step == Step::moved ? Outcome::more : Outcome::waiting;
}

// What the direction holds goes first.
SplicedPair::Step SplicedPair::deliver(Direction& direction, End& to) const {
  if (!to.writable) return Step::blocked;
  ssize_t put = 0;
  if (direction.in_pipe > 0) {
    put = ::splice(direction.pipe.read.get(), nullptr, to.fd.get(), nullptr, direction.in_pipe,
                   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
  } else {
    put = ::send(to.fd.get(), direction.tail.data() + direction.tail_sent,
                 direction.tail.size() - direction.tail_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  if (put < 0) {
    if (errno == EAGAIN) to.writable = false;
    return is_temporary(errno) ? Step::moved : Step::failed;
  }
  direction.bytes += static_cast<std::size_t>(put);
  if (direction.in_pipe > 0) {
    direction.in_pipe -= static_cast<std::size_t>(put);
  } else {
    direction.tail_sent += static_cast<std::size_t>(put);
    if (direction.tail_sent == direction.tail.size()) {
      give_back_all(direction.tail);
      direction.tail_sent = 0;
    }
  }
  return Step::moved;
}

SplicedPair::Step SplicedPair::copy(Direction& direction, End& from, End& to,
                                    std::span<std::uint8_t> buffer) const {
  if (!to.writable) return Step::blocked;
  const ssize_t got = ::recv(from.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0) {
    if (errno == EAGAIN) from.readable = false;
    return is_temporary(errno) ? Step::moved : Step::failed;
  }
  if (got == 0) {
    direction.ended = true;
    return Step::ended;
  }
  const auto count = static_cast<std::size_t>(got);
  // A short read has taken all there was, and what comes later is an event of its own. A FIN that was
  // announced already will not be again.
  if (count < buffer.size() && !from.finishing) from.readable = false;
  direction.many = count == buffer.size();
  direction.few = 0;
  const ssize_t put = ::send(to.fd.get(), buffer.data(), count, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (put < 0 && !is_temporary(errno)) return Step::failed;
  if (put < 0 && errno == EAGAIN) to.writable = false;
  const std::size_t sent = put < 0 ? 0 : static_cast<std::size_t>(put);
  direction.bytes += sent;
  if (sent < count)
    direction.tail.assign(buffer.begin() + static_cast<std::ptrdiff_t>(sent),
                          buffer.begin() + static_cast<std::ptrdiff_t>(count));
  return Step::moved;
}

SplicedPair::Step SplicedPair::splice_in(Direction& direction, End& from, SplicePool& pool) const {
  if (!direction.pipe.read) direction.pipe = pool.take();
  if (!direction.pipe.read) {
    direction.many = false;
    return Step::moved;
  }
  const ssize_t got = ::splice(from.fd.get(), nullptr, direction.pipe.write.get(), nullptr,
                               SplicePool::kPipeSize, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
  if (got < 0) {
    if (errno == EINTR) return Step::moved;
    if (errno != EAGAIN) return Step::failed;
    if (!from.finishing) {
      from.readable = false;
      return Step::moved;
    }
  }
  if (got <= 0) {
    // A byte of urgent data stops splice(2), which says then that there is nothing, or the end; reading
    // passes over it, and tells. It was announced, as an end is.
    std::uint8_t next = 0;
    const ssize_t left = ::recv(from.fd.get(), &next, 1, MSG_PEEK | MSG_DONTWAIT);
    if (left < 0 && errno == EAGAIN) from.readable = false;
    if (left < 0) return is_temporary(errno) ? Step::moved : Step::failed;
    direction.many = false;
    return Step::moved;
  }
  direction.in_pipe = static_cast<std::size_t>(got);
  // A short count may mean a pipe without room: only an EAGAIN says that nothing is left to read.
  direction.few = direction.in_pipe < kMany ? static_cast<std::uint8_t>(direction.few + 1) : std::uint8_t{0};
  if (direction.few == kFewInARow) direction.many = false;
  return Step::moved;
}

void SplicedPair::finish(SplicePool& pool) {
  // Events that have not been looked at are no reason to lose anything.
  for (End& side : sides_) side.readable = side.finishing = true;
  Outcome outcome = run(pool);
  for (int i = 0; outcome == Outcome::more && i < kLastRuns; ++i) outcome = run(pool);
  const Direction& from_guest = directions_[1];
  const Direction& to_guest = directions_[0];
  const bool complete = from_guest.ended && !from_guest.holds() && !to_guest.holds();
  if (outcome == Outcome::failed || !complete) abort();
}

void SplicedPair::abort() {
  const linger none{.l_onoff = 1, .l_linger = 0};
  for (End& side : sides_) {
    ::setsockopt(side.fd.get(), SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    side.fd.reset();
  }
}

}  // namespace sf::host
