// What happened in a run: frames for a capture file, and lines for people. Only made for a seed that is
// looked at.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.hh"
#include "base/time.hh"
#include "wire/offload.hh"

namespace sf::sim {

enum class Direction : std::uint8_t { from_guest, to_guest };

class Trace {
 public:
  // With `print`, lines also go to standard error as they come.
  explicit Trace(bool print) : print_(print) {}

  // A frame as the stack under test received or sent it; `fate` says what the link made of it.
  void frame(Time at, Direction direction, Bytes frame, const wire::Offload& offload, const char* fate);
  void note(Time at, const std::string& line);

  // Frames as a pcap file with times in nanoseconds, lines as text beside it ("<stem>.pcap", "<stem>.txt").
  // False where a file could not be written.
  [[nodiscard]] bool write(const std::string& stem) const;

 private:
  struct Record {
    Time at;
    std::vector<std::uint8_t> bytes;
    std::uint32_t length;
  };

  bool print_;
  std::vector<Record> frames_;
  std::vector<std::string> lines_;
};

// One line about a frame: addresses, protocol, TCP's numbers.
[[nodiscard]] std::string describe_frame(Bytes frame);

}  // namespace sf::sim
