#include "wire/packet_filter.hh"

#include <array>
#include <charconv>
#include <limits>
#include <optional>

namespace sf::wire {
namespace {

// A code is a class, and what that class has: a size and a mode, or an operation and a source.
enum Class : std::uint16_t { kLoad, kLoadIndex, kStore, kStoreIndex, kCompute, kJump, kReturn, kMove };
enum Size : std::uint16_t { kWord = 0x00, kHalf = 0x08, kByte = 0x10 };
enum Mode : std::uint16_t {
  kImmediate = 0x00,
  kAbsolute = 0x20,
  kIndirect = 0x40,
  kMemory = 0x60,
  kLength = 0x80,
  kHeaderLength = 0xa0  // four times the low half of a byte: an IPv4 header's length
};
enum Operation : std::uint16_t {
  kAdd = 0x00,
  kSubtract = 0x10,
  kMultiply = 0x20,
  kDivide = 0x30,
  kOr = 0x40,
  kAnd = 0x50,
  kShiftLeft = 0x60,
  kShiftRight = 0x70,
  kNegate = 0x80,
  kModulo = 0x90,
  kXor = 0xa0
};
enum Condition : std::uint16_t {
  kAlways = 0x00,
  kEqual = 0x10,
  kGreater = 0x20,
  kAtLeast = 0x30,
  kBitSet = 0x40
};
constexpr std::uint16_t kFromIndex = 0x08;        // operand: the index register instead of k
constexpr std::uint16_t kFromAccumulator = 0x10;  // of a return
constexpr std::uint16_t kToAccumulator = 0x80;    // of a move
constexpr std::size_t kMemoryWords = 16;

constexpr std::uint16_t class_of(std::uint16_t code) {
  return code & 0x07;
}
constexpr std::uint16_t size_of(std::uint16_t code) {
  return code & 0x18;
}
constexpr std::uint16_t mode_of(std::uint16_t code) {
  return code & 0xe0;
}
constexpr std::uint16_t operation_of(std::uint16_t code) {
  return code & 0xf0;
}

std::optional<std::uint32_t> load(Bytes frame, std::uint64_t at, std::uint16_t size) {
  const std::size_t width = size == kWord ? 4 : size == kHalf ? 2 : 1;
  if (at + width > frame.size()) return std::nullopt;
  const std::uint8_t* bytes = frame.data() + at;
  return size == kWord ? load_be32(bytes) : size == kHalf ? load_be16(bytes) : *bytes;
}

// Division and modulo by 0 have no result.
std::optional<std::uint32_t> compute(std::uint16_t operation, std::uint32_t a, std::uint32_t b) {
  constexpr std::uint32_t kBits = 32;
  switch (operation) {
    case kAdd:
      return a + b;
    case kSubtract:
      return a - b;
    case kMultiply:
      return a * b;
    case kDivide:
      return b == 0 ? std::nullopt : std::optional(a / b);
    case kModulo:
      return b == 0 ? std::nullopt : std::optional(a % b);
    case kOr:
      return a | b;
    case kAnd:
      return a & b;
    case kXor:
      return a ^ b;
    case kShiftLeft:
      return b < kBits ? a << b : 0;
    case kShiftRight:
      return b < kBits ? a >> b : 0;
    default:
      return 0 - a;
  }
}

bool holds(std::uint16_t condition, std::uint32_t a, std::uint32_t b) {
  switch (condition) {
    case kEqual:
      return a == b;
    case kGreater:
      return a > b;
    case kAtLeast:
      return a >= b;
    default:
      return (a & b) != 0;
  }
}

// The next number of `text`, which loses it.
template <typename Number>
bool take_number(std::string_view& text, Number& into) {
  constexpr std::string_view kSpace = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number > std::numeric_limits<Number>::max()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  into = static_cast<Number>(number);
  return text.empty() || kSpace.find(text.front()) != std::string_view::npos;
}

}  // namespace

// `behind`: how many instructions come after it.
bool PacketFilter::is_valid(const Instruction& one, std::size_t behind) {
  const std::uint16_t code = one.code;
  const bool has_rest = behind > 0;  // else it would run off the end
  switch (class_of(code)) {
    case kLoad:
    case kLoadIndex: {
      const bool known_size = size_of(code) <= kByte && code < 0x100;
      const bool index = class_of(code) == kLoadIndex;
      if (!known_size || !has_rest) return false;
      switch (mode_of(code)) {
        case kImmediate:
        case kLength:
          return size_of(code) == kWord;
        case kMemory:
          return size_of(code) == kWord && one.k < kMemoryWords;
        case kHeaderLength:
          return index && size_of(code) == kByte;
        case kAbsolute:
        case kIndirect:
          return !index;
        default:
          return false;
      }
    }
    case kStore:
    case kStoreIndex:
      return code == class_of(code) && one.k < kMemoryWords && has_rest;
    case kCompute: {
      const std::uint16_t operation = operation_of(code);
      const bool divides = operation == kDivide || operation == kModulo;
      if (code >= 0x100 || operation > kXor || !has_rest) return false;
      return !divides || (code & kFromIndex) != 0 || one.k != 0;
    }
    case kJump:
      if (code >= 0x100 || operation_of(code) > kBitSet) return false;
      if (operation_of(code) == kAlways) return one.k < behind;
      return one.if_true < behind && one.if_false < behind;
    case kReturn:
      return code == kReturn || code == (kReturn | kFromAccumulator);
    default:
      return (code == kMove || code == (kMove | kToAccumulator)) && has_rest;
  }
}

Result<PacketFilter> PacketFilter::parse(std::string_view text) {
  std::size_t count = 0;
  if (!take_number(text, count) || count == 0) return fail("the filter is not what 'tcpdump -ddd' prints");
  if (count > kMaxInstructions) {
    return fail("the filter has {} instructions, of which there may be {}; make it shorter", count,
                kMaxInstructions);
  }
  PacketFilter filter;
  filter.program_.resize(count);
  for (Instruction& one : filter.program_) {
    --count;
    if (!take_number(text, one.code) || !take_number(text, one.if_true) || !take_number(text, one.if_false) ||
        !take_number(text, one.k) || !is_valid(one, count)) {
      return fail(
          "instruction {} of the filter is none that a filter may have (jumps back, as of protochain, "
          "neither)",
          filter.program_.size() - count);
    }
  }
  if (text.find_first_not_of(" \t\r\n") != std::string_view::npos)
    return fail("there is more behind the filter");
  return filter;
}

// The registers, and what an instruction does to them.
struct PacketFilter::Machine {
  Bytes frame;
  std::uint32_t size = 0;
  std::uint32_t a = 0;
  std::uint32_t x = 0;
  std::array<std::uint32_t, kMemoryWords> memory{};

  // False: beyond the end.
  bool load_into(std::uint32_t& into, const Instruction& one) {
    std::optional<std::uint32_t> value;
    switch (mode_of(one.code)) {
      case kImmediate:
        value = one.k;
        break;
      case kLength:
        value = size;
        break;
      case kMemory:
        value = memory[one.k];
        break;
      case kAbsolute:
        value = load(frame, one.k, size_of(one.code));
        break;
      case kIndirect:
        value = load(frame, std::uint64_t{x} + one.k, size_of(one.code));
        break;
      default:
        value = load(frame, one.k, kByte);
        if (value) value = (*value & 0x0f) * 4;
        break;
    }
    if (value) into = *value;
    return value.has_value();
  }
  [[nodiscard]] std::uint32_t operand(const Instruction& one) const {
    return (one.code & kFromIndex) != 0 ? x : one.k;
  }
};

bool PacketFilter::accepts(Bytes frame, std::size_t size) const {
  if (program_.empty()) return true;
  Machine machine{.frame = frame, .size = static_cast<std::uint32_t>(size)};
  for (std::size_t at = 0; at < program_.size(); ++at) {
    const Instruction& one = program_[at];
    switch (class_of(one.code)) {
      case kLoad:
        if (!machine.load_into(machine.a, one)) return false;
        break;
      case kLoadIndex:
        if (!machine.load_into(machine.x, one)) return false;
        break;
      case kStore:
        machine.memory[one.k] = machine.a;
        break;
      case kStoreIndex:
        machine.memory[one.k] = machine.x;
        break;
      case kCompute: {
        const auto result = compute(operation_of(one.code), machine.a, machine.operand(one));
        if (!result) return false;
        machine.a = *result;
        break;
      }
      case kJump:
        if (operation_of(one.code) == kAlways) {
          at += one.k;
        } else {
          at += holds(operation_of(one.code), machine.a, machine.operand(one)) ? one.if_true : one.if_false;
        }
        break;
      case kReturn:
        return (one.code == kReturn ? one.k : machine.a) != 0;
      default:
        if (one.code == kMove) {
          machine.x = machine.a;
        } else {
          machine.a = machine.x;
        }
        break;
    }
  }
  return false;
}

}  // namespace sf::wire
