//! Colours for data: one perceptually uniform ramp, and a set of colours that colour-blind people can tell apart.

/// Red, green, blue.
pub type Rgb = [u8; 3];

/// The viridis ramp (van der Walt and Smith, 2015) at `t` in 0..=1, dark to light. Equal steps look equally large,
/// also in grey and for colour-blind people. It is a polynomial fit, within 1 % of the table.
pub fn viridis(t: f32) -> Rgb {
    const COEFFICIENTS: [[f32; 3]; 7] = [
        [0.277_727, 0.005_407, 0.334_1],
        [0.105_093, 1.404_614, 1.384_59],
        [-0.330_862, 0.214_848, 0.095_095],
        [-4.634_23, -5.799_10, -19.332_44],
        [6.228_27, 14.179_93, 56.690_55],
        [4.776_38, -13.745_15, -65.353_03],
        [-5.435_46, 4.645_85, 26.312_44],
    ];
    let t = t.clamp(0.0, 1.0);
    let channel = |i: usize| COEFFICIENTS.iter().rev().fold(0.0, |sum, c| sum * t + c[i]);
    [channel(0), channel(1), channel(2)].map(|value| (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8)
}

/// Mixes two colours; `share` is the share of `above`.
pub(crate) fn mix(below: Rgb, above: Rgb, share: f32) -> Rgb {
    let mut out = below;
    for (out, above) in out.iter_mut().zip(above) {
        *out = (f32::from(*out) * (1.0 - share) + f32::from(above) * share + 0.5) as u8;
    }
    out
}

/// The background of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Ground {
    /// A light background with dark contents.
    Light,
    /// A dark background with light contents.
    Dark,
}

impl Ground {
    /// The ramp by emphasis: 0 is still visible on this background, 1 stands out most.
    pub fn emphasis(self, t: f32) -> Rgb {
        let t = t.clamp(0.0, 1.0);
        match self {
            Self::Light => viridis(0.82 * (1.0 - t)),
            Self::Dark => viridis(0.22 + 0.78 * t),
        }
    }

    /// A grey for data that are not in focus.
    pub fn plain(self, t: f32) -> Rgb {
        let t = t.clamp(0.0, 1.0);
        let level = match self {
            Self::Light => 205.0 - 100.0 * t,
            Self::Dark => 68.0 + 100.0 * t,
        };
        [level as u8; 3]
    }

    /// A faint grey for data that are not selected.
    pub fn faint(self) -> Rgb {
        match self {
            Self::Light => [226; 3],
            Self::Dark => [52; 3],
        }
    }

    /// The colour of an entity type. The first four (on a dark background, five) are colours of Okabe and Ito.
    /// Each further colour is as far as possible from the earlier ones and from the greys. The distance counts for
    /// normal vision, and at half its size for the three kinds of colour blindness (Machado et al. 2009). The
    /// contrast is at least 3. After the last colour, they repeat, mixed with grey.
    pub fn class(self, number: usize) -> Rgb {
        const LIGHT: [Rgb; 18] = [
            [0, 114, 178],
            [213, 94, 0],
            [0, 158, 115],
            [204, 121, 167],
            [0, 0, 150],
            [255, 0, 255],
            [105, 0, 0],
            [45, 15, 60],
            [105, 0, 255],
            [135, 0, 120],
            [105, 75, 0],
            [210, 0, 60],
            [0, 60, 60],
            [120, 60, 210],
            [90, 135, 255],
            [210, 15, 180],
            [45, 105, 60],
            [165, 135, 60],
        ];
        const DARK: [Rgb; 18] = [
            [86, 180, 233],
            [255, 134, 47],
            [60, 200, 160],
            [230, 150, 195],
            [240, 228, 66],
            [180, 0, 240],
            [225, 0, 45],
            [0, 255, 135],
            [255, 255, 255],
            [240, 30, 180],
            [60, 120, 45],
            [135, 135, 240],
            [195, 120, 90],
            [180, 255, 195],
            [135, 195, 90],
            [225, 0, 105],
            [210, 210, 255],
            [150, 90, 150],
        ];
        let colours = match self {
            Self::Light => LIGHT,
            Self::Dark => DARK,
        };
        let colour = colours[number % colours.len()];
        mix(colour, self.plain(1.0), 0.35 * (number / colours.len()).min(2) as f32)
    }

    /// The colour of removed spans: vermilion (Okabe and Ito).
    pub fn removed(self) -> Rgb {
        match self {
            Self::Light => [213, 94, 0],
            Self::Dark => [255, 134, 47],
        }
    }

    /// The colour of relabelled spans: blue (Okabe and Ito).
    pub fn relabelled(self) -> Rgb {
        match self {
            Self::Light => [0, 114, 178],
            Self::Dark => [86, 180, 233],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ramp_has_the_published_ends_and_grows_lighter() {
        let near = |a: Rgb, b: Rgb| a.iter().zip(b).all(|(&x, y)| x.abs_diff(y) <= 4);
        assert!(near(viridis(0.0), [68, 1, 84]), "{:?}", viridis(0.0));
        assert!(near(viridis(0.5), [33, 145, 140]), "{:?}", viridis(0.5));
        assert!(near(viridis(1.0), [253, 231, 37]), "{:?}", viridis(1.0));
        let lightness = |t: f32| {
            let [r, g, b] = viridis(t).map(f32::from);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        assert!((0..100).all(|i| lightness(i as f32 / 100.0) < lightness((i + 1) as f32 / 100.0)));
    }

    /// Amounts of red, green and blue light, 0..=1.
    fn light(colour: Rgb) -> [f32; 3] {
        colour.map(|value| (f32::from(value) / 255.0).powf(2.2))
    }

    fn luminance(colour: Rgb) -> f32 {
        let [r, g, b] = light(colour);
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    /// Oklab by Björn Ottosson: equal distances look equally large.
    fn oklab(colour: Rgb) -> [f32; 3] {
        let [r, g, b] = light(colour);
        let l = (0.412_22 * r + 0.536_33 * g + 0.051_45 * b).cbrt();
        let m = (0.211_90 * r + 0.680_70 * g + 0.107_40 * b).cbrt();
        let s = (0.088_30 * r + 0.281_72 * g + 0.629_98 * b).cbrt();
        [
            0.210_45 * l + 0.793_62 * m - 0.004_07 * s,
            1.978_00 * l - 2.428_59 * m + 0.450_59 * s,
            0.025_90 * l + 0.782_77 * m - 0.808_68 * s,
        ]
    }

    #[test]
    fn eighteen_types_are_told_apart_and_all_are_seen() {
        for (ground, behind) in [(Ground::Light, [255; 3]), (Ground::Dark, [30, 32, 36])] {
            let colours: Vec<Rgb> = (0..54).map(|number| ground.class(number)).collect();
            let greys = [0.0, 0.5, 1.0].map(|t| ground.plain(t));
            for (i, &colour) in colours.iter().enumerate() {
                let (a, b) = (luminance(colour) + 0.05, luminance(behind) + 0.05);
                assert!(a.max(b) / a.min(b) > 2.9, "{ground:?} {i} {colour:?} is not seen");
                let others = colours.iter().take(i.min(18)).chain(&greys);
                let distance = |other: Rgb| {
                    let squares = oklab(colour).into_iter().zip(oklab(other)).map(|(a, b)| (a - b).powi(2));
                    squares.sum::<f32>().sqrt()
                };
                let nearest = others.map(|&other| distance(other)).fold(f32::INFINITY, f32::min);
                assert!(nearest > if i < 18 { 0.06 } else { 0.0 }, "{ground:?} {i} {colour:?}: {nearest}");
            }
        }
    }
}
