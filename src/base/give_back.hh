// Vectors that a burst has made large, and that few need later.
#pragma once

#include <cstddef>
#include <iterator>
#include <vector>

namespace sf::base {

// Up to this many bytes a buffer is kept: it costs more to get again than it takes. Larger ones are mappings
// of their own (cli/program.cc, return_memory_early), which go back to the system at once.
inline constexpr std::size_t kKeptBytes = 65536;

// To be called when a vector has become shorter: where it uses a fourth of its memory at most, half of that
// goes back. So a move of all elements pays for at least as many that have gone.
template <typename T>
void give_back(std::vector<T>& vector) {
  if (vector.capacity() * sizeof(T) <= kKeptBytes || vector.size() > vector.capacity() / 4) return;
  std::vector<T> smaller;
  smaller.reserve(vector.capacity() / 2);
  smaller.insert(smaller.end(), std::make_move_iterator(vector.begin()),
                 std::make_move_iterator(vector.end()));
  vector.swap(smaller);
}

// All of it. (Assigning {} would empty the vector and keep its memory.)
template <typename T>
void give_back_all(std::vector<T>& vector) {
  std::vector<T>().swap(vector);
}

}  // namespace sf::base
