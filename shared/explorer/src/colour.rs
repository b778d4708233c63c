//! Colours that carry data: one perceptually uniform ramp, and a few that colour-blind people tell
//! apart.

/// Red, green, blue.
pub type Rgb = [u8; 3];

/// The viridis ramp (van der Walt and Smith, 2015) at `t` in 0..=1, dark to light: equal steps look
/// equally large, in grey and to colour-blind people too. A polynomial fit, within 1 % of the table.
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

/// On which background a picture stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Ground {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Ground {
    /// The ramp by emphasis: 0 is still well visible on this ground, 1 stands out most.
    pub fn emphasis(self, t: f32) -> Rgb {
        let t = t.clamp(0.0, 1.0);
        match self {
            Self::Light => viridis(0.82 * (1.0 - t)),
            Self::Dark => viridis(0.22 + 0.78 * t),
        }
    }

    /// What is not in question: a grey.
    pub fn plain(self, t: f32) -> Rgb {
        let t = t.clamp(0.0, 1.0);
        let level = match self {
            Self::Light => 205.0 - 100.0 * t,
            Self::Dark => 68.0 + 100.0 * t,
        };
        [level as u8; 3]
    }

    /// What is there but not selected.
    pub fn faint(self) -> Rgb {
        match self {
            Self::Light => [226; 3],
            Self::Dark => [52; 3],
        }
    }

    /// Entity types, the first six of them (Okabe and Ito); none for those after: more colours cannot be told
    /// apart.
    pub fn class(self, number: usize) -> Option<Rgb> {
        const LIGHT: [Rgb; 6] =
            [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [160, 130, 0], [40, 40, 40]];
        const DARK: [Rgb; 6] =
            [[86, 180, 233], [255, 134, 47], [60, 200, 160], [230, 150, 195], [240, 228, 66], [240, 240, 240]];
        match self {
            Self::Light => LIGHT.get(number).copied(),
            Self::Dark => DARK.get(number).copied(),
        }
    }

    /// What leaves the data: vermilion (Okabe and Ito).
    pub fn removed(self) -> Rgb {
        match self {
            Self::Light => [213, 94, 0],
            Self::Dark => [255, 134, 47],
        }
    }

    /// What changes its label: blue (Okabe and Ito).
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
}
