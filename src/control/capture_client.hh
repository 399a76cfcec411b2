// The client's side of a capture: asks an instance, and copies what comes into a file, a pipe or whatever
// else the descriptor is, whole blocks of pcapng at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hh"
#include "base/result.hh"
#include "base/unique_fd.hh"

namespace sf::control {

class CaptureClient {
 public:
  // Why it is over.
  enum class End { asked, reader_gone, instance_gone };
  struct Summary {
    std::uint64_t frames = 0;
    std::uint64_t lost = 0;  // which the instance had no room for
    End end = End::asked;
  };

  // Sends the request and waits for the beginning of what comes.
  [[nodiscard]] static Result<CaptureClient> ask(const std::string& path, std::string_view request);
  // What came instead of a recording, whole; empty where there is one.
  [[nodiscard]] const std::string& refusal() const { return refusal_; }

  // Until `signals` is readable, `count` frames have been written, nobody reads `out` any more, or the
  // instance ends. Then `out` has an orderly end, if it takes it within kEndWait. Once.
  [[nodiscard]] Result<Summary> copy(int out, int signals, std::optional<std::uint64_t> count);

 private:
  enum class Wrote { all, reader_gone, stopped };

  CaptureClient(UniqueFd socket, std::string path) : socket_(std::move(socket)), path_(std::move(path)) {}

  [[nodiscard]] Result<bool> receive();
  [[nodiscard]] Result<void> take_blocks(std::optional<std::uint64_t> count);
  void take_block(Bytes block, std::optional<std::uint64_t> count);
  [[nodiscard]] Result<Wrote> write(int out, bool waits, int signals);
  void note_signal(int signals);
  void finish();

  UniqueFd socket_;
  UniqueFd timer_;  // set by finish()
  std::string path_;
  std::string refusal_;
  std::vector<std::uint8_t> came_;     // begins with a block
  std::vector<std::uint8_t> pending_;  // to be written
  Summary summary_;
  bool stop_ = false;  // at once, whatever is left
};

// What a recording is written to. -1, as an Error, says what to do.
[[nodiscard]] Result<UniqueFd> open_recording(const std::string& path);
// Standard output, if it is not a terminal.
[[nodiscard]] Result<int> standard_output_for_recording();

}  // namespace sf::control
