//! Small pictures: of few colours, which is what these pages have.

use std::collections::BTreeMap;
use std::io::Cursor;

use anyhow::{Result, ensure};
use png::{BitDepth, ColorType, Compression, Decoder, Encoder, Filter, Transformations};

/// Colours of a picture.
const COLOURS: usize = 20;

type Colour = [u8; 3];

/// The picture with a palette.
pub(crate) fn small(png: &[u8]) -> Result<Vec<u8>> {
    let mut decoder = Decoder::new(Cursor::new(png));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let mut bytes = vec![0; reader.output_buffer_size().unwrap_or_default()];
    let frame = reader.next_frame(&mut bytes)?;
    ensure!(matches!(frame.color_type, ColorType::Rgb | ColorType::Rgba), "a picture of {:?}", frame.color_type);
    let of_pixel = frame.color_type.samples();
    let pixels = || bytes[..frame.buffer_size()].chunks_exact(of_pixel).map(|it| [it[0], it[1], it[2]]);
    let mut counts: BTreeMap<Colour, u64> = BTreeMap::new();
    pixels().for_each(|colour| *counts.entry(colour).or_default() += 1);
    let palette = palette(&counts);
    let nearest =
        |colour| (0_u8..).zip(&palette).min_by_key(|(_, of)| apart(colour, **of)).map_or(0, |(index, _)| index);
    let indices: BTreeMap<Colour, u8> = counts.keys().map(|&colour| (colour, nearest(colour))).collect();
    let data: Vec<u8> = pixels().map(|colour| indices[&colour]).collect();
    let mut small = Vec::new();
    let mut encoder = Encoder::new(&mut small, frame.width, frame.height);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_palette(palette.concat());
    encoder.set_compression(Compression::High);
    encoder.set_filter(Filter::NoFilter);
    encoder.write_header()?.write_image_data(&data)?;
    Ok(small)
}

/// Colours of the picture itself: each next one is that of which most is furthest from those before it. So grounds, lines
/// and words keep their own colours, and only the edges of letters are near ones.
fn palette(counts: &BTreeMap<Colour, u64>) -> Vec<Colour> {
    let mut palette: Vec<Colour> = Vec::new();
    let mut left: Vec<(Colour, u64, u64)> = counts.iter().map(|(&colour, &count)| (colour, count, u64::MAX)).collect();
    while palette.len() < COLOURS {
        let next = left.iter().max_by_key(|(_, count, apart)| u128::from(*count) * u128::from(*apart));
        let Some(&(next, _, 1..)) = next else { break };
        palette.push(next);
        for (colour, _, nearest) in &mut left {
            *nearest = apart(*colour, next).min(*nearest);
        }
    }
    palette
}

/// How far apart two colours are, squared.
fn apart(one: Colour, other: Colour) -> u64 {
    one.into_iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(b)).pow(2)).sum()
}
