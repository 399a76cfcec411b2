// Which frames somebody wants to see: a program for the packet filter's machine ("classic BPF", McCanne and
// Jacobson, "The BSD Packet Filter", 1993), as libpcap compiles one from "tcp port 80 and host 192.0.2.1".
//
// The machine has an accumulator, an index register and 16 words of memory. It loads from the frame,
// computes, jumps forward, and returns how many bytes of the frame are wanted; what it loads beyond the
// frame's end ends it with none. As all jumps lead forward, a program takes no more steps than it has
// instructions.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.hh"
#include "base/result.hh"

namespace sf::wire {

class PacketFilter {
 public:
  static constexpr std::size_t kMaxInstructions = 2048;

  // Accepts every frame.
  PacketFilter() = default;
  // `text` is what `tcpdump -ddd` prints: the number of instructions, and four numbers for each, with white
  // space between them. An Error where it is something else, or could jump or store out of bounds, or divide
  // by 0.
  [[nodiscard]] static Result<PacketFilter> parse(std::string_view text);

  // `frame` may be its beginning alone; `size` is that of all of it.
  [[nodiscard]] bool accepts(Bytes frame, std::size_t size) const;

 private:
  struct Instruction {
    std::uint16_t code = 0;
    std::uint8_t if_true = 0;  // jumps: so many instructions are left out
    std::uint8_t if_false = 0;
    std::uint32_t k = 0;
  };
  struct Machine;

  [[nodiscard]] static bool is_valid(const Instruction& instruction, std::size_t behind);

  std::vector<Instruction> program_;
};

}  // namespace sf::wire
