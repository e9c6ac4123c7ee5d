//! The table as a picture: for each work, the speed of each system relative to this library.

use std::path::Path;

use plotters::prelude::*;

use crate::report::Results;
use crate::systems::System;
use crate::work::Work;

const OURS: RGBColor = RGBColor(0xce, 0x42, 0x2b);
const OTHERS: RGBColor = RGBColor(0x9a, 0xa5, 0xb1);
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);

const WIDTH: i32 = 900;
const BAR: i32 = 20;
const HEAD: i32 = 46;
const NAMES: i32 = 260;

pub fn draw(results: &Results, works: &[Work], path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let works: Vec<_> = works.iter().copied().filter(|work| *work != Work::Idle).collect();
    let height: i32 =
        works.iter().map(|work| HEAD + BAR * results.systems(*work).len() as i32).sum::<i32>() + 20;
    let area = SVGBackend::new(path, (WIDTH as u32, height as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    let head = ("sans-serif", 15).into_font().style(FontStyle::Bold).color(&INK);
    let label = ("sans-serif", 13).into_font().color(&INK);
    let mut top = 10;
    for work in works {
        area.draw(&Text::new(format!("{work}: {}", work.describe()), (10, top + 14), head.clone()))?;
        top += HEAD - 6;
        let systems = results.systems(work);
        let values: Vec<_> = systems.iter().filter_map(|system| results.values(work, *system)).collect();
        // Raw bytes do not set the scale: the bars of the other systems would be too short.
        let decoded = systems.iter().zip(&values).filter(|(system, _)| **system != System::RawBytes);
        let most = decoded.map(|(_, spread)| spread.median).fold(0.0, f64::max);
        for (system, spread) in systems.iter().zip(&values) {
            let ours = matches!(system, System::SocketIpc | System::SocketIpcMultiThread);
            let room = f64::from(WIDTH - NAMES - 150);
            let length = ((spread.median / most).min(1.0) * room) as i32;
            let colour = if ours { OURS } else { OTHERS };
            area.draw(&Text::new(system.name(), (10, top + 2), label.clone()))?;
            area.draw(&Rectangle::new(
                [(NAMES, top), (NAMES + length.max(1), top + BAR - 5)],
                colour.filled(),
            ))?;
            let beyond = if spread.median > most { " →" } else { "" };
            let value = format!("{} {}{beyond}", crate::report::number(spread.median), work.unit());
            area.draw(&Text::new(value, (NAMES + length + 6, top + 2), label.clone()))?;
            top += BAR;
        }
        top += 6;
    }
    area.present()?;
    Ok(())
}
