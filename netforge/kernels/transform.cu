// From stored images to a net's input (netforge/device/operations/transform.py).
#include "common.cuh"

// Stored images and what is taken off them are bytes or float32 whatever the net computes in, so that each device
// rounds alike. A source may hold 2^31 elements and more: places in it are 64 bits wide.
typedef unsigned char Byte;
typedef float Pixel;

#define CHOICE 4  // image, y, x, flipped

// Where the pixels of a plane of output lie in a stored plane, height * width.
struct View {
    Divisor columns;
    int width, y0, x0;
    bool flipped;
    int left, right, top, bottom;  // the stored pixels that count as 0, borders included
    __device__ __forceinline__ int place(unsigned i, bool& masked) const {
        const int row = columns.quotient(i), column = i - row * columns.by;
        const int y = y0 + row, x = x0 + (flipped ? columns.by - 1 - column : column);
        masked = y >= top && y <= bottom && x >= left && x <= right;
        return y * width + x;
    }
};

// out (size) = (what `view` shows of a stored plane - mean) * scale; mean: null, or read at place * mean_pixel.
template <typename Stored>
__device__ __forceinline__ void show(const Stored* __restrict__ pixels, const View& view,
                                     const Pixel* __restrict__ mean, int mean_pixel, Pixel scale,
                                     Real* __restrict__ out, unsigned size) {
    const unsigned tile = AT_ONCE * blockDim.x;
    for (unsigned first = blockIdx.y * tile + threadIdx.x; first < size; first += gridDim.y * tile) {
        const Places p = places(first, blockDim.x, size);
        Pixel values[AT_ONCE], means[AT_ONCE];
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k) {
            bool masked;
            const int place = view.place(min(p.at[k], size - 1), masked);  // of those beyond the last, nothing is used
            const Stored pixel = pixels[place];
            values[k] = masked ? Pixel(0) : Pixel(pixel);
            means[k] = mean ? mean[place * mean_pixel] : Pixel(0);
        }
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k)
            if (p.in[k]) out[p.at[k]] = Real((values[k] - means[k]) * scale);
    }
}

// out (planes / channels, channels, out_height, out_width) = (the chosen window of a stored image - mean) * scale.
// Channel c comes from stored channel first_channel + c * channel_step; an image below 0 stands for the noise image.
// mean: null, or read at c * mean_plane + place * mean_pixel. left ... bottom: the rectangle of stored pixels that
// count as 0, borders included.
template <typename Stored>
__device__ __forceinline__ void transform(const Stored* __restrict__ images, const Pixel* __restrict__ noise,
                                          const int* __restrict__ choices, const Pixel* __restrict__ mean,
                                          Real* __restrict__ out, int planes, int channels, int out_height,
                                          int out_width, int stored_channels, int height, int width,
                                          int first_channel, int channel_step, int mean_plane, int mean_pixel,
                                          Pixel scale, int left, int right, int top, int bottom) {
    const unsigned size = out_height * out_width;
    const Divisor columns(out_width);
    FOR_EACH_BLOCK(plane, planes) {
        const int channel = plane % channels, stored = first_channel + channel * channel_step;
        const int* choice = choices + CHOICE * (plane / channels);
        const int image = choice[0];
        const View view = {columns, width, choice[1], choice[2], choice[3] != 0, left, right, top, bottom};
        const Pixel* means = mean ? mean + channel * mean_plane : mean;
        Real* own = out + plane * size;
        if (image < 0) {
            show(noise + stored * height * width, view, means, mean_pixel, scale, own, size);
        } else {
            const long long first = ((long long)image * stored_channels + stored) * height * width;
            show(images + first, view, means, mean_pixel, scale, own, size);
        }
    }
}

// Launch: gridDim.y blocks for each plane (an image's channel), consecutive threads along its rows, AT_ONCE pixels a
// thread at a time. Memory: the chosen pixels and out once, coalesced along the rows; mean and noise once, and from
// cache after that.
KERNEL(transform_bytes)(const Byte* __restrict__ images, const Pixel* __restrict__ noise,
                        const int* __restrict__ choices, const Pixel* __restrict__ mean, Real* __restrict__ out,
                        int planes, int channels, int out_height, int out_width, int stored_channels, int height,
                        int width, int first_channel, int channel_step, int mean_plane, int mean_pixel, Pixel scale,
                        int left, int right, int top, int bottom) {
    transform(images, noise, choices, mean, out, planes, channels, out_height, out_width, stored_channels, height,
              width, first_channel, channel_step, mean_plane, mean_pixel, scale, left, right, top, bottom);
}

KERNEL(transform_pixels)(const Pixel* __restrict__ images, const Pixel* __restrict__ noise,
                         const int* __restrict__ choices, const Pixel* __restrict__ mean, Real* __restrict__ out,
                         int planes, int channels, int out_height, int out_width, int stored_channels, int height,
                         int width, int first_channel, int channel_step, int mean_plane, int mean_pixel, Pixel scale,
                         int left, int right, int top, int bottom) {
    transform(images, noise, choices, mean, out, planes, channels, out_height, out_width, stored_channels, height,
              width, first_channel, channel_step, mean_plane, mean_pixel, scale, left, right, top, bottom);
}
