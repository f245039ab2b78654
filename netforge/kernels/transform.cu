// From stored images to a net's input (netforge/device/operations/transform.py).
#include "common.cuh"

// Stored images and what is taken off them are bytes or float32 whatever the net computes in, so that each device
// rounds alike. A source may hold 2^31 elements and more: places in it are 64 bits wide.
typedef unsigned char Byte;
typedef float Pixel;

#define CHOICE 4  // image, y, x, flipped

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
    FOR_EACH_BLOCK(plane, planes) {
        const int channel = plane % channels, stored = first_channel + channel * channel_step;
        const int* choice = choices + CHOICE * (plane / channels);
        const int image = choice[0], y0 = choice[1], x0 = choice[2];
        const bool flipped = choice[3] != 0, is_noise = image < 0;
        const Stored* pixels = images + ((long long)(is_noise ? 0 : image) * stored_channels + stored) * height * width;
        for (unsigned i = blockIdx.y * blockDim.x + threadIdx.x; i < size; i += gridDim.y * blockDim.x) {
            const int row = i / out_width, column = i % out_width;
            const int y = y0 + row, x = x0 + (flipped ? out_width - 1 - column : column), place = y * width + x;
            Pixel value = is_noise ? noise[stored * height * width + place] : Pixel(pixels[place]);
            if (y >= top && y <= bottom && x >= left && x <= right) value = 0;
            if (mean) value -= mean[channel * mean_plane + place * mean_pixel];
            out[plane * size + i] = Real(value * scale);
        }
    }
}

// Launch: gridDim.y blocks for each plane (an image's channel), consecutive threads along its rows. Memory: the chosen
// pixels and out once, coalesced along the rows; mean and noise once, and from cache after that.
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
