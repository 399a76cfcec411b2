// Wakes an EventLoop from another thread: an eventfd(2).
#pragma once

#include "base/result.hh"
#include "base/unique_fd.hh"

namespace sf::host {

class Waker {
 public:
  [[nodiscard]] static Result<Waker> create();

  // By any thread. Many before a reset() are one.
  void wake() const;
  // For EventLoop::watch(), whose callback calls reset() first.
  [[nodiscard]] int fd() const { return fd_.get(); }
  void reset() const;

 private:
  explicit Waker(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace sf::host
