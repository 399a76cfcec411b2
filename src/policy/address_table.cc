#include "policy/address_table.hh"

#include <limits>

namespace sf::policy {
namespace {

using Wide = std::pair<std::uint64_t, std::uint64_t>;
constexpr std::uint64_t kOnes = std::numeric_limits<std::uint64_t>::max();

Wide wide(const Address& address) {
  return {load_be64(address.bytes().data()), load_be64(address.bytes().data() + 8)};
}

// The bits below the prefix, of 64.
std::uint64_t host_bits(unsigned length) {
  return length >= 64 ? 0 : kOnes >> length;
}

std::pair<std::uint32_t, std::uint32_t> bounds4(const Prefix& prefix) {
  const std::uint32_t first = prefix.base.to_v4();
  return {first, first | static_cast<std::uint32_t>(host_bits(prefix.length + 32U))};
}

std::pair<Wide, Wide> bounds6(const Prefix& prefix) {
  const Wide first = wide(prefix.base);
  const std::uint64_t upper = host_bits(prefix.length);
  const std::uint64_t lower = prefix.length <= 64 ? kOnes : host_bits(prefix.length - 64U);
  return {first, {first.first | upper, first.second | lower}};
}

// The number behind `key`; false where there is none.
bool increment(std::uint32_t& key) {
  return ++key != 0;
}
bool increment(Wide& key) {
  return ++key.second != 0 || ++key.first != 0;
}

}  // namespace

AddressTable::AddressTable(std::span<const Rule> rules, std::vector<Entry> entries) {
  const auto v6_begin = std::stable_partition(entries.begin(), entries.end(),
                                              [](const Entry& e) { return e.prefix.base.is_v4(); });
  std::vector<Entry> v6(v6_begin, entries.end());
  entries.erase(v6_begin, entries.end());
  build(rules, entries, v4_, bounds4);
  // cppcheck-suppress invalidContainer; v6 is a copy
  build(rules, v6, v6_, bounds6);
}

template <typename Key, typename Bounds>
void AddressTable::build(std::span<const Rule> rules, std::vector<Entry>& entries, Row<Key>& row,
                         Bounds bounds) {
  // Outer networks before those that they contain.
  std::ranges::stable_sort(entries, [](const Entry& a, const Entry& b) {
    return std::pair(a.prefix, a.rule) < std::pair(b.prefix, b.rule);
  });
  std::vector<Span<Key>> spans;
  std::vector<std::size_t> open;  // indexes into spans: those that contain the present one
  std::vector<RuleIndex> own;
  for (std::size_t i = 0; i < entries.size();) {
    const Prefix prefix = entries[i].prefix;
    own.clear();
    for (; i < entries.size() && entries[i].prefix == prefix; ++i) own.push_back(entries[i].rule);
    const auto [first, last] = bounds(prefix);
    while (!open.empty() && spans[open.back()].last < first) open.pop_back();
    Node node{FirstMatch(rules, own), open.empty() ? kNone : spans[open.back()].node, kNoRule};
    node.least = node.match.least();
    if (node.parent != kNone) node.least = std::min(node.least, nodes_[node.parent].least);
    open.push_back(spans.size());
    spans.push_back({first, last, static_cast<std::uint32_t>(nodes_.size())});
    nodes_.push_back(std::move(node));
  }
  cut(spans, row);
}

// Spans are nested, and sorted by their beginning.
template <typename Key>
void AddressTable::cut(const std::vector<Span<Key>>& spans, Row<Key>& row) {
  const auto begin = [&row](const Key& at, std::uint32_t node) {
    if (!row.starts.empty() && row.starts.back() == at) {
      row.nodes.back() = node;
      return;
    }
    row.starts.push_back(at);
    row.nodes.push_back(node);
  };
  std::vector<std::size_t> open;
  const auto close = [&] {
    Key behind = spans[open.back()].last;
    open.pop_back();
    if (increment(behind)) begin(behind, open.empty() ? kNone : spans[open.back()].node);
  };
  for (std::size_t i = 0; i < spans.size(); ++i) {
    while (!open.empty() && spans[open.back()].last < spans[i].first) close();
    begin(spans[i].first, spans[i].node);
    open.push_back(i);
  }
  while (!open.empty()) close();
}

RuleIndex AddressTable::find(const Address& address, Protocol protocol, std::uint16_t port,
                             RuleIndex best) const {
  std::uint32_t at = address.is_v4() ? innermost(v4_, address.to_v4()) : innermost(v6_, wide(address));
  while (at != kNone && nodes_[at].least < best) {
    best = std::min(best, nodes_[at].match.find(protocol, port));
    at = nodes_[at].parent;
  }
  return best;
}

}  // namespace sf::policy
