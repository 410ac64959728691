// SPDX-License-Identifier: Apache-2.0
// exp, log, tanh, sigmoid, erf, gelu and pow on vectors of float: the same operations for every
// lane and every width, so a value's bits depend on the value and on fused multiply-add alone.
// Polynomials are minimax fits (Remez) to the function named beside them.
#include <hwy/highway.h>

#if defined(BATCHWISE_BACKEND_CPU_VECTOR_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BATCHWISE_BACKEND_CPU_VECTOR_MATH_INL_H_
#undef BATCHWISE_BACKEND_CPU_VECTOR_MATH_INL_H_
#else
#define BATCHWISE_BACKEND_CPU_VECTOR_MATH_INL_H_
#endif

#include <cmath>
#include <cstddef>
#include <limits>

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// coefficients[0] + coefficients[1] x + ... by Horner's rule.
template <class D, class T, std::size_t kCount>
HWY_INLINE hn::Vec<D> polynomial(D d, hn::Vec<D> x, const T (&coefficients)[kCount]) {
  hn::Vec<D> sum = hn::Set(d, coefficients[kCount - 1]);
  for (std::size_t k = kCount - 1; k > 0; --k) {
    sum = hn::MulAdd(sum, x, hn::Set(d, coefficients[k - 1]));
  }
  return sum;
}

// 2^n for n in [-126, 127], as integers.
template <class D, class VI>
HWY_INLINE hn::Vec<D> power_of_two(D d, VI n) {
  const hn::RebindToSigned<D> di;
  return hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(n, hn::Set(di, 127))));
}

template <class D>
HWY_INLINE hn::Vec<D> keep_nan(D, hn::Vec<D> x, hn::Vec<D> y) {
  return hn::IfThenElse(hn::IsNaN(x), x, y);
}

template <class D>
HWY_INLINE hn::Vec<D> vector_exp(D d, hn::Vec<D> x) {
  const hn::RebindToSigned<D> di;
  // Beyond these ends the result is 0 or infinity anyway.
  const auto clamped = hn::Min(hn::Max(x, hn::Set(d, -104.0f)), hn::Set(d, 89.0f));
  const auto n = hn::Round(hn::Mul(clamped, hn::Set(d, 1.44269504f)));
  auto r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), clamped);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  // (exp(r) - 1 - r) / r^2
  const float coefficients[] = {5.000000000e-01f, 1.666651219e-01f, 4.166618735e-02f,
                                8.369597606e-03f, 1.395171275e-03f};
  auto y = hn::MulAdd(hn::Mul(r, r), polynomial(d, r, coefficients), r);
  y = hn::Add(y, hn::Set(d, 1.0f));
  // Two factors: 2^n alone leaves the range of normal numbers before the result does.
  const auto exponent = hn::ConvertTo(di, n);
  const auto half = hn::ShiftRight<1>(exponent);
  y = hn::Mul(y, power_of_two(d, half));
  y = hn::Mul(y, power_of_two(d, hn::Sub(exponent, half)));
  return keep_nan(d, x, y);
}

template <class D>
HWY_INLINE hn::Vec<D> vector_log(D d, hn::Vec<D> x) {
  const hn::RebindToSigned<D> di;
  const float infinity = std::numeric_limits<float>::infinity();
  const auto is_small = hn::Lt(x, hn::Set(d, std::numeric_limits<float>::min()));
  const auto scaled = hn::IfThenElse(is_small, hn::Mul(x, hn::Set(d, 8388608.0f)), x);
  // scaled = 2^e m with m in [sqrt(1/2), sqrt(2)).
  const auto bits = hn::BitCast(di, scaled);
  const auto above = hn::ShiftRight<23>(hn::Sub(bits, hn::Set(di, 0x3f3504f3)));
  const auto m = hn::BitCast(d, hn::Sub(bits, hn::ShiftLeft<23>(above)));
  auto e = hn::ConvertTo(d, above);
  e = hn::IfThenElse(is_small, hn::Sub(e, hn::Set(d, 23.0f)), e);
  const auto f = hn::Sub(m, hn::Set(d, 1.0f));
  const auto square = hn::Mul(f, f);
  // (log(1 + f) - f + f^2 / 2) / f^3
  const float coefficients[] = {3.333331048e-01f,  -2.499998659e-01f, 2.000223100e-01f,
                                -1.666926295e-01f, 1.421857774e-01f,  -1.238407120e-01f,
                                1.187335402e-01f,  -1.179170385e-01f, 6.916765124e-02f};
  auto y = hn::Mul(hn::Mul(f, square), polynomial(d, f, coefficients));
  y = hn::MulAdd(e, hn::Set(d, -2.12194440e-4f), y);
  y = hn::NegMulAdd(hn::Set(d, 0.5f), square, y);
  y = hn::MulAdd(e, hn::Set(d, 0.693359375f), hn::Add(f, y));
  y = hn::IfThenElse(hn::Eq(x, hn::Set(d, infinity)), x, y);
  y = hn::IfThenElse(hn::Eq(x, hn::Zero(d)), hn::Set(d, -infinity), y);
  y = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::NaN(d), y);
  return keep_nan(d, x, y);
}

template <class D>
HWY_INLINE hn::Vec<D> vector_tanh(D d, hn::Vec<D> x) {
  const auto one = hn::Set(d, 1.0f);
  const auto magnitude = hn::Abs(x);
  const auto e = vector_exp(d, hn::Add(magnitude, magnitude));
  auto large = hn::Sub(one, hn::Div(hn::Set(d, 2.0f), hn::Add(e, one)));
  large = hn::CopySignToAbs(large, x);
  // (tanh(x) - x) / x^3 in x^2, for |x| < 0.64
  const float coefficients[] = {-3.333327174e-01f, 1.333115250e-01f, -5.371410772e-02f,
                                2.055171877e-02f, -5.603912752e-03f};
  const auto square = hn::Mul(x, x);
  const auto small = hn::MulAdd(hn::Mul(x, square), polynomial(d, square, coefficients), x);
  const auto y = hn::IfThenElse(hn::Lt(magnitude, hn::Set(d, 0.625f)), small, large);
  return keep_nan(d, x, y);
}

template <class D>
HWY_INLINE hn::Vec<D> vector_sigmoid(D d, hn::Vec<D> x) {
  const auto one = hn::Set(d, 1.0f);
  // exp of what is not above 0, so that small results keep their precision.
  const auto e = vector_exp(d, hn::Neg(hn::Abs(x)));
  const auto numerator = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one);
  return keep_nan(d, x, hn::Div(numerator, hn::Add(one, e)));
}

// exp(t^2) erfc(t) for t in [0, 10.2].
template <class D>
HWY_INLINE hn::Vec<D> scaled_erfc(D d, hn::Vec<D> t) {
  const auto four = hn::Set(d, 4.0f);
  const auto q = hn::Div(hn::Sub(t, four), hn::Add(t, four));
  // exp(t^2) erfc(t) (1 + 2t)
  const float coefficients[] = {1.232995152e+00f,  -1.396210641e-01f, 1.537741441e-02f,
                                6.809336692e-02f,  -1.009920910e-01f, 9.382104129e-02f,
                                -6.662287563e-02f, 3.642375395e-02f,  -1.593798585e-02f,
                                6.965895649e-03f,  8.633784018e-04f};
  return hn::Div(polynomial(d, q, coefficients), hn::Add(hn::Add(t, t), hn::Set(d, 1.0f)));
}

// exp(-a b) for a b >= 0, with the rounding error of the product put back.
template <class D>
HWY_INLINE hn::Vec<D> exp_minus_product(D d, hn::Vec<D> a, hn::Vec<D> b) {
  const auto product = hn::Mul(a, b);
  const auto error = hn::MulSub(a, b, product);
  const auto e = vector_exp(d, hn::Neg(product));
  return hn::NegMulAdd(e, error, e);
}

template <class D>
HWY_INLINE hn::Vec<D> vector_erf(D d, hn::Vec<D> x) {
  const auto one = hn::Set(d, 1.0f);
  const auto t = hn::Min(hn::Abs(x), hn::Set(d, 4.0f));
  auto large = hn::NegMulAdd(exp_minus_product(d, t, t), scaled_erfc(d, t), one);
  large = hn::CopySignToAbs(large, x);
  // erf(x) / x - 1 in x^2, for |x| < 1
  const float coefficients[] = {1.283791661e-01f,  -3.761262596e-01f, 1.128360033e-01f,
                                -2.685444430e-02f, 5.189535674e-03f,  -8.020845125e-04f,
                                7.889132394e-05f};
  const auto small = hn::MulAdd(x, polynomial(d, hn::Mul(x, x), coefficients), x);
  return keep_nan(d, x, hn::IfThenElse(hn::Lt(hn::Abs(x), one), small, large));
}

// The standard normal distribution function at x, and exp(-x^2 / 2).
// Requires: |x| <= kGeluEnd (beyond it gelu is 0 or x).
template <class D>
struct NormalDistribution {
  hn::Vec<D> cumulative, exponential;
};
constexpr float kGeluEnd = 14.25f;
template <class D>
HWY_INLINE NormalDistribution<D> normal_distribution(D d, hn::Vec<D> x) {
  const auto t = hn::Mul(hn::Abs(x), hn::Set(d, 0.707106781f));
  const auto exponential = exp_minus_product(d, hn::Mul(x, hn::Set(d, 0.5f)), x);
  const auto tail = hn::Mul(hn::Mul(exponential, hn::Set(d, 0.5f)), scaled_erfc(d, t));
  const auto upper = hn::Sub(hn::Set(d, 1.0f), tail);
  return {hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, upper), exponential};
}

template <class D>
HWY_INLINE hn::Vec<D> clamp_to_gelu_end(D d, hn::Vec<D> x) {
  return hn::Min(hn::Max(x, hn::Set(d, -kGeluEnd)), hn::Set(d, kGeluEnd));
}

template <class D>
HWY_INLINE hn::Vec<D> vector_gelu(D d, hn::Vec<D> x) {
  const auto normal = normal_distribution(d, clamp_to_gelu_end(d, x));
  const auto factor = hn::Max(x, hn::Set(d, -kGeluEnd));
  return keep_nan(d, x, hn::Mul(factor, normal.cumulative));
}

template <class D>
HWY_INLINE hn::Vec<D> vector_gelu_slope(D d, hn::Vec<D> x) {
  const auto clamped = clamp_to_gelu_end(d, x);
  const auto normal = normal_distribution(d, clamped);
  const auto density = hn::Mul(normal.exponential, hn::Set(d, 0.398942280f));
  return keep_nan(d, x, hn::MulAdd(clamped, density, normal.cumulative));
}

// Gelu's tanh form, written as x sigmoid(2u): 1 + tanh(u) would cancel.
constexpr float kTwiceRootTwoOverPi = 1.59576912f;
constexpr float kGeluCubic = 0.044715f;
template <class D>
HWY_INLINE hn::Vec<D> vector_gelu_tanh(D d, hn::Vec<D> x) {
  const auto factor = hn::Max(x, hn::Set(d, -kGeluEnd));
  const auto cubic = hn::MulAdd(hn::Mul(hn::Mul(x, x), hn::Set(d, kGeluCubic)), x, x);
  const auto s = vector_sigmoid(d, hn::Mul(cubic, hn::Set(d, kTwiceRootTwoOverPi)));
  return keep_nan(d, x, hn::Mul(factor, s));
}

template <class D>
HWY_INLINE hn::Vec<D> vector_gelu_tanh_slope(D d, hn::Vec<D> x) {
  const auto one = hn::Set(d, 1.0f);
  const auto c = clamp_to_gelu_end(d, x);
  const auto square = hn::Mul(hn::Mul(c, c), hn::Set(d, kGeluCubic));
  const auto scale = hn::Set(d, kTwiceRootTwoOverPi);
  const auto s = vector_sigmoid(d, hn::Mul(hn::MulAdd(square, c, c), scale));
  const auto slope = hn::Mul(hn::MulAdd(square, hn::Set(d, 3.0f), one), scale);
  const auto bend = hn::Mul(hn::Mul(c, slope), hn::Mul(s, hn::Sub(one, s)));
  return keep_nan(d, x, hn::Add(s, bend));
}

// log of a double that came from a float above 0.
template <class DD>
HWY_INLINE hn::Vec<DD> double_log(DD dd, hn::Vec<DD> x) {
  const hn::RebindToUnsigned<DD> du;
  const auto one = hn::Set(dd, 1.0);
  const auto bits = hn::BitCast(du, x);
  // x = 2^e m with m in [sqrt(1/2), sqrt(2)); 2048 keeps e above 0 in the conversion.
  const auto above =
      hn::ShiftRight<52>(hn::Add(bits, hn::Set(du, (2048ull << 52) - 0x3fe6a09e667f3bcdull)));
  const auto m =
      hn::BitCast(dd, hn::Sub(bits, hn::ShiftLeft<52>(hn::Sub(above, hn::Set(du, 2048ull)))));
  const auto magic = hn::Set(du, 0x4330000000000000ull);
  const auto e =
      hn::Sub(hn::BitCast(dd, hn::Or(above, magic)), hn::Set(dd, 4503599627370496.0 + 2048.0));
  // log(m) = 2 atanh(s)
  const auto s = hn::Div(hn::Sub(m, one), hn::Add(m, one));
  const double coefficients[] = {2.0,     2.0 / 3,  2.0 / 5,  2.0 / 7,
                                 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15};
  const auto log_m = hn::Mul(s, polynomial(dd, hn::Mul(s, s), coefficients));
  return hn::MulAdd(e, hn::Set(dd, 0.693147180559945309), log_m);
}

// exp of t, which is clamped to where a float is not 0 or infinity.
template <class DD>
HWY_INLINE hn::Vec<DD> double_exp(DD dd, hn::Vec<DD> t) {
  const hn::RebindToUnsigned<DD> du;
  const auto x = hn::Min(hn::Max(t, hn::Set(dd, -200.0)), hn::Set(dd, 200.0));
  const auto shifter = hn::Set(dd, 6755399441055744.0);  // 1.5 2^52: rounds to an integer
  const auto shifted = hn::MulAdd(x, hn::Set(dd, 1.44269504088896341), shifter);
  const auto n = hn::Sub(shifted, shifter);
  auto r = hn::NegMulAdd(n, hn::Set(dd, 0.693147180369123816), x);
  r = hn::NegMulAdd(n, hn::Set(dd, 1.90821492927058770e-10), r);
  const double coefficients[] = {1.0,         1.0,          1.0 / 2,      1.0 / 6,
                                 1.0 / 24,    1.0 / 120,    1.0 / 720,    1.0 / 5040,
                                 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800};
  const auto scale = hn::ShiftLeft<52>(hn::Add(hn::BitCast(du, shifted), hn::Set(du, 1023ull)));
  return hn::Mul(polynomial(dd, r, coefficients), hn::BitCast(dd, scale));
}

// |x|^y for x > 0, in double so that the float comes out rounded nearly as if exact.
template <class D>
HWY_INLINE hn::Vec<D> positive_power(D d, hn::Vec<D> x, hn::Vec<D> y) {
  const hn::Half<D> half;
  const hn::Rebind<double, hn::Half<D>> dd;
  const auto low = double_exp(dd, hn::Mul(double_log(dd, hn::PromoteTo(dd, hn::LowerHalf(half, x))),
                                          hn::PromoteTo(dd, hn::LowerHalf(half, y))));
  const auto high =
      double_exp(dd, hn::Mul(double_log(dd, hn::PromoteTo(dd, hn::UpperHalf(half, x))),
                             hn::PromoteTo(dd, hn::UpperHalf(half, y))));
  return hn::Combine(d, hn::DemoteTo(half, high), hn::DemoteTo(half, low));
}

template <class D>
HWY_INLINE hn::Vec<D> vector_pow(D d, hn::Vec<D> x, hn::Vec<D> y) {
  const auto zero = hn::Zero(d);
  const auto one = hn::Set(d, 1.0f);
  const auto infinity = hn::Set(d, std::numeric_limits<float>::infinity());
  const auto magnitude = hn::Abs(x);
  const auto y_is_integer = hn::Eq(y, hn::Trunc(y));
  const auto half_y = hn::Mul(y, hn::Set(d, 0.5f));
  const auto y_is_odd = hn::And(y_is_integer, hn::Ne(half_y, hn::Trunc(half_y)));
  auto result = positive_power(d, magnitude, y);
  // 0 and infinity have no logarithm to multiply.
  const auto is_end = hn::Or(hn::Eq(magnitude, zero), hn::Eq(magnitude, infinity));
  const auto grows = hn::Xor(hn::Eq(magnitude, zero), hn::Gt(y, zero));
  result = hn::IfThenElse(is_end, hn::IfThenElse(grows, infinity, zero), result);
  const auto undefined =
      hn::And(hn::And(hn::Lt(x, zero), hn::Lt(magnitude, infinity)), hn::Not(y_is_integer));
  result = hn::IfThenElse(undefined, hn::NaN(d), result);
  const auto signed_result = hn::CopySign(result, x);
  result = hn::IfThenElse(y_is_odd, signed_result, result);
  result = keep_nan(d, y, keep_nan(d, x, result));
  const auto steady = hn::And(hn::Eq(magnitude, one), hn::Eq(hn::Abs(y), infinity));
  const auto is_one = hn::Or(hn::Or(hn::Eq(y, zero), hn::Eq(x, one)), steady);
  return hn::IfThenElse(is_one, one, result);
}

}  // namespace HWY_NAMESPACE
}  // namespace batchwise::cpu
HWY_AFTER_NAMESPACE();

#endif
